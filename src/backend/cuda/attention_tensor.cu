// Attention on tensor cores (after Dao, 2023: FlashAttention-2), for stores of 16-bit floats.
//
// In a tile of the plan, each warp of a thread block has 16 pairs and folds the keys that all warps
// share. A strip has 16 pairs at most and one segment: there the warps share the work on a tile of
// keys, each scoring a group of 16 keys and adding up a quarter of the values' columns. Both take
// the same steps in the same order for every element, so that they compute the same bits:
//
//   scores   of a tile of keys, each a sum over the head's columns
//   weights  relative to the row's maximum so far; what was folded before is scaled to it
//   sums     of weights, for each of the groups that make a tile and each lane's columns apart;
//            groups are added at the end of a segment, then lanes
//   values   weighted and added, group after group
#include "backend/cuda/attention_mma.cuh"
#include "backend/cuda/launch.cuh"

namespace octavo::cuda {
namespace {

// What is folded of a segment, or of several: two rows of a lane, and some columns.
template <int kTiles>
struct RowStates {
  float maximum[2] = {minus_infinity(), minus_infinity()};
  float sum[2] = {0.0F, 0.0F};
  float values[kTiles][4] = {};
};

template <int kTiles>
__device__ void merge_states(RowStates<kTiles>& into, const RowStates<kTiles>& next) {
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    const MergeFactors factors =
        merge_factors(into.maximum[row], into.sum[row], next.maximum[row], next.sum[row]);
#pragma unroll
    for (int i = 0; i < 2 * kTiles; ++i) {
      float& value = into.values[i / 2][2 * row + i % 2];
      value = merge_value(value, next.values[i / 2][2 * row + i % 2], factors);
    }
  }
}

// Calls body(column, two values) for a row's columns of the lane.
template <int kTiles, class Body>
__device__ void for_columns(int row, int first_column, const RowStates<kTiles>& state,
                            const Body& body) {
#pragma unroll
  for (int i = 0; i < kTiles; ++i) {
    const float* values = state.values[i] + 2 * row;
    body(first_column + 8 * i + lane_id() % 4 * 2, make_float2(values[0], values[1]));
  }
}

// Columns from first_column on; what is of the whole row goes with the first of them.
template <int kTiles>
__device__ void write_record(float* record, int row, int first_column,
                             const RowStates<kTiles>& state) {
  if (first_column == 0 && lane_id() % 4 == 0) {
    *reinterpret_cast<float2*>(record) = make_float2(state.maximum[row], state.sum[row]);
  }
  for_columns(row, first_column, state, [&](int column, const float2& values) {
    *reinterpret_cast<float2*>(record + 4 + column) = values;
  });
}

template <int kTiles>
__device__ void write_result(float* out, int row, int first_column,
                             const RowStates<kTiles>& state) {
  const float inverse = inverse_sum(state.sum[row]);
  for_columns(row, first_column, state, [&](int column, const float2& values) {
    *reinterpret_cast<float2*>(out + column) =
        make_float2(__fmul_rn(values.x, inverse), __fmul_rn(values.y, inverse));
  });
}

// The tiles of keys that an item folds.
template <int D>
struct KeyRange {
  static constexpr int kSegmentTiles = kSegmentKeys / Layout<D>::kTileKeys;
  int first_tile;
  int last_tile;  // one past

  __device__ explicit KeyRange(const AttentionItem& item)
      : first_tile(max(item.first_key / Layout<D>::kTileKeys, item.first_segment * kSegmentTiles)),
        last_tile(min((item.last_key + Layout<D>::kTileKeys - 1) / Layout<D>::kTileKeys,
                      (item.first_segment + item.segments) * kSegmentTiles)) {}
};

// A segment of a tile's keys by one warp, all columns.
template <class T, int D>
class TileFold {
 public:
  using Memory = Layout<D>;

  __device__ void fold(const Queries<T, D>& queries, KvStream<D>& stream, int tile) {
    float scores[2 * Memory::kTileGroups][4] = {};
    queries.template add_scores<Memory::kTileGroups>(stream.next(), scores);
    queries.template hide_unseen<Memory::kTileGroups>(tile * Memory::kTileKeys, scores);
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      const NewMaximum raised = raise_maximum(state_.maximum[row], largest_score(scores, row));
#pragma unroll
      for (int group = 0; group < Memory::kTileGroups; ++group) {
        weigh_group(scores + 2 * group, row, raised, sums_[group][row]);
      }
      scale_values(state_.values, row, raised.factor);
    }
    const uint32_t values = stream.next();
#pragma unroll
    for (int group = 0; group < Memory::kTileGroups; ++group) {
      const float(*weights)[4] = scores + 2 * group;
      const uint32_t packed[4] = {Numbers<T>::pack(weights[0][0], weights[0][1]),
                                  Numbers<T>::pack(weights[0][2], weights[0][3]),
                                  Numbers<T>::pack(weights[1][0], weights[1][1]),
                                  Numbers<T>::pack(weights[1][2], weights[1][3])};
      add_values<T, D>(values + static_cast<uint32_t>(group * kGroupKeys * Memory::kRowBytes),
                       packed, state_.values);
    }
  }

  __device__ const RowStates<D / 8>& finish() {
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      float sum = sums_[0][row];
#pragma unroll
      for (int group = 1; group < Memory::kTileGroups; ++group) sum += sums_[group][row];
      state_.sum[row] = sum_row(sum);
    }
    return state_;
  }

 private:
  RowStates<D / 8> state_;
  float sums_[Memory::kTileGroups][2] = {};
};

template <class T, int D>
__device__ void attend_tile(const AttentionArgs& args, const AttentionItem& item, int kv_head,
                            uint32_t shared) {
  const KeyRange<D> range(item);
  KvStream<D> stream(args, item, kv_head, range.first_tile, range.last_tile, shared);
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const Queries<T, D> queries(args, item, warp * kStripPairs, kv_head);
  // Of a long head this does not fit into registers beside a segment's own state, and waits in
  // local memory, where it is wanted once a segment.
  RowStates<D / 8> merged;
  int tile = range.first_tile;
  for (int segment = 0; segment < item.segments; ++segment) {
    TileFold<T, D> fold;
    const int end =
        min(range.last_tile, (item.first_segment + segment + 1) * KeyRange<D>::kSegmentTiles);
    for (; tile < end; ++tile) fold.fold(queries, stream, tile);
    const RowStates<D / 8>& state = fold.finish();
    if (item.record < 0) {
      merge_states(merged, state);
      continue;
    }
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      if (queries.pair(row) >= item.pairs) continue;
      write_record(record_of(args, item, queries.pair(row), segment, kv_head), row, 0, state);
    }
  }
  if (item.record >= 0) return;
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    if (queries.pair(row) < item.pairs) {
      write_result(args.out + queries.offset(row), row, 0, merged);
    }
  }
}

// What the warps tell each other about a strip.
template <int D>
struct Exchange {
  static constexpr int kLineBytes = Layout<D>::kTileKeys * 2 + kUnitBytes;  // padded as K and V are
  alignas(16) unsigned char weights[kStripPairs * kLineBytes];
  float maxima[Layout<D>::kTileGroups][kStripPairs];
  float sums[Layout<D>::kTileGroups][2][kWarp];
};

// A segment of a strip's keys by the warps of a thread block.
template <class T, int D>
class StripFold {
 public:
  using Memory = Layout<D>;
  static constexpr int kTiles = D / 8 / kBlockWarps;
  static_assert(kTiles * 8 * kBlockWarps == D && Memory::kTileGroups <= kBlockWarps);

  __device__ explicit StripFold(Exchange<D>& exchange)
      : exchange_(exchange),
        weights_(static_cast<uint32_t>(__cvta_generic_to_shared(exchange.weights))) {}

  __device__ int first_column() const { return warp_ * kTiles * 8; }

  __device__ void fold(const Queries<T, D>& queries, KvStream<D>& stream, int tile) {
    const uint32_t keys = stream.next();
    float scores[2][4] = {};
    const int first = warp_ * kGroupKeys;  // of the warp's group in the tile
    if (scores_keys()) {
      queries.template add_scores<1>(keys + static_cast<uint32_t>(first * Memory::kRowBytes),
                                     scores);
      queries.template hide_unseen<1>(tile * Memory::kTileKeys + first, scores);
#pragma unroll
      for (int row = 0; row < 2; ++row) {
        const float largest = largest_score(scores, row);
        if (lane_id() % 4 == 0) exchange_.maxima[warp_][lane_id() / 4 + 8 * row] = largest;
      }
    }
    __syncthreads();
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      float largest = minus_infinity();
#pragma unroll
      for (int group = 0; group < Memory::kTileGroups; ++group) {
        largest = fmaxf(largest, exchange_.maxima[group][lane_id() / 4 + 8 * row]);
      }
      const NewMaximum raised = raise_maximum(state_.maximum[row], largest);
      scale_values(state_.values, row, raised.factor);
      if (!scores_keys()) continue;
      weigh_group(scores, row, raised, sum_[row]);
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int column = first + 8 * i + lane_id() % 4 * 2;
        *reinterpret_cast<uint32_t*>(
            exchange_.weights + (lane_id() / 4 + 8 * row) * Exchange<D>::kLineBytes + column * 2) =
            Numbers<T>::pack(scores[i][2 * row], scores[i][2 * row + 1]);
      }
    }
    // When the values are there for all, so are the weights.
    const uint32_t values = stream.next() + static_cast<uint32_t>(first_column() * 2);
    const uint32_t from =
        weights_ +
        static_cast<uint32_t>(lane_id() % 16 * Exchange<D>::kLineBytes + lane_id() / 16 * 16);
#pragma unroll
    for (int group = 0; group < Memory::kTileGroups; ++group) {
      uint32_t weights[4];
      load_matrices(weights, from + static_cast<uint32_t>(group * kGroupKeys * 2));
      add_values<T, D>(values + static_cast<uint32_t>(group * kGroupKeys * Memory::kRowBytes),
                       weights, state_.values);
    }
  }

  __device__ const RowStates<kTiles>& finish() {
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      if (scores_keys()) exchange_.sums[warp_][row][lane_id()] = sum_[row];
    }
    __syncthreads();
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      float sum = exchange_.sums[0][row][lane_id()];
#pragma unroll
      for (int group = 1; group < Memory::kTileGroups; ++group) {
        sum += exchange_.sums[group][row][lane_id()];
      }
      state_.sum[row] = sum_row(sum);
    }
    return state_;
  }

 private:
  __device__ bool scores_keys() const {
    return warp_ < Memory::kTileGroups;
  }

  Exchange<D>& exchange_;
  uint32_t weights_;  // in shared memory
  int warp_ = static_cast<int>(threadIdx.x) / kWarp;
  RowStates<kTiles> state_;
  float sum_[2] = {0.0F, 0.0F};  // of the warp's groups
};

template <class T, int D>
__device__ void attend_strip(const AttentionArgs& args, const AttentionItem& item, int kv_head,
                             uint32_t shared, Exchange<D>& exchange) {
  const KeyRange<D> range(item);
  KvStream<D> stream(args, item, kv_head, range.first_tile, range.last_tile, shared);
  const Queries<T, D> queries(args, item, 0, kv_head);
  StripFold<T, D> fold(exchange);
  for (int tile = range.first_tile; tile < range.last_tile; ++tile) {
    fold.fold(queries, stream, tile);
  }
  const auto& state = fold.finish();
  RowStates<StripFold<T, D>::kTiles> merged;
  if (item.record < 0) merge_states(merged, state);
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    if (queries.pair(row) >= item.pairs) continue;
    if (item.record < 0) {
      write_result(args.out + queries.offset(row), row, fold.first_column(), merged);
    } else {
      write_record(record_of(args, item, queries.pair(row), 0, kv_head), row, fold.first_column(),
                   state);
    }
  }
}

template <class T, int D>
__global__ void __launch_bounds__(kBlockWarps* kWarp, 2)
    attend_tensor(const __grid_constant__ AttentionArgs args) {
  extern __shared__ __align__(16) unsigned char memory[];
  __shared__ Exchange<D> exchange;
  follow_previous();
  const auto shared = static_cast<uint32_t>(__cvta_generic_to_shared(memory));
  const auto& header = *reinterpret_cast<const AttentionPlanHeader*>(args.plan);
  const int block = static_cast<int>(blockIdx.x);
  const int kv_head = static_cast<int>(blockIdx.y);
  const AttentionItem item = items_of(args.plan)[block];
  if (block < header.tiles) {
    attend_tile<T, D>(args, item, kv_head, shared);
  } else if (block < header.tiles + header.strips) {
    attend_strip<T, D>(args, item, kv_head, shared, exchange);
  }
}

// The same for plans of strips alone, which need fewer registers, so that more of them run at once.
template <class T, int D>
__global__ void __launch_bounds__(kBlockWarps* kWarp, D <= 128 ? 3 : 2)
    attend_strips(const __grid_constant__ AttentionArgs args) {
  extern __shared__ __align__(16) unsigned char memory[];
  __shared__ Exchange<D> exchange;
  follow_previous();
  const auto shared = static_cast<uint32_t>(__cvta_generic_to_shared(memory));
  const auto& header = *reinterpret_cast<const AttentionPlanHeader*>(args.plan);
  const auto block = static_cast<int>(blockIdx.x);
  const AttentionItem item = items_of(args.plan)[block];
  if (block >= header.strips) return;
  attend_strip<T, D>(args, item, static_cast<int>(blockIdx.y), shared, exchange);
}

template <class T, int D>
void launch_head(const AttentionArgs& args, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned int>(args.block_capacity),
                  static_cast<unsigned int>(args.kv.kv_heads));
  constexpr int kBytes = Layout<D>::kSharedBytes;
  const auto kernel = args.has_tiles != 0 ? attend_tensor<T, D> : attend_strips<T, D>;
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  launch(kernel, grid, kBlockWarps * kWarp, args, stream, kBytes);
}

template <class T>
void launch_for_head(const AttentionArgs& args, cudaStream_t stream) {
  switch (args.kv.head_dim) {
    case 64:
      return launch_head<T, 64>(args, stream);
    case 96:
      return launch_head<T, 96>(args, stream);
    case 128:
      return launch_head<T, 128>(args, stream);
    default:
      return launch_head<T, 256>(args, stream);
  }
}

}  // namespace

bool has_tensor_attention(const KvView& kv) {
  const bool head =
      kv.head_dim == 64 || kv.head_dim == 96 || kv.head_dim == 128 || kv.head_dim == 256;
  return head && kv.type != DType::f32 && kv.block_size % kGroupKeys == 0;
}

void launch_tensor_attention(const AttentionArgs& args, cudaStream_t stream) {
  if (args.kv.type == DType::f16) {
    launch_for_head<__half>(args, stream);
  } else {
    launch_for_head<__nv_bfloat16>(args, stream);
  }
}

}  // namespace octavo::cuda
