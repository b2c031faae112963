// Attention on tensor cores (after Dao, 2023: FlashAttention-2), for stores of 16-bit floats.
//
// A warp folds the keys of up to 16 pairs, which are the rows of a tensor core's tile, in steps of
// kTileKeys keys. In a tile of the plan, the warps of a thread block have 16 pairs each and share
// what they load; a strip belongs to one warp that loads for itself. Both run the same code on the
// same steps, so that they compute the same bits.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "backend/cuda/attention_state.h"

namespace octavo::cuda {
namespace {

constexpr unsigned int kAllLanes = 0xFFFFFFFFU;
constexpr int kGroupKeys = 16;  // consecutive keys that lie in one block
constexpr int kSegmentGroups = kSegmentKeys / kGroupKeys;
constexpr int kUnitBytes = 16;  // of an asynchronous copy

template <int D>
struct Layout {
  // Keys of a step: as many as leave room in registers for the values of a long head.
  static constexpr int kTileKeys = D <= 128 ? 64 : 32;
  static constexpr int kSlots = D <= 128 ? 4 : 3;
  // A row is padded by one unit: its length is an odd number of units, so that eight rows begin in
  // different banks.
  static constexpr int kRowUnits = D * 2 / kUnitBytes;
  static constexpr int kRowBytes = D * 2 + kUnitBytes;
  // A slot has a tile of keys for the thread block, or a group of keys for each of its warps.
  static constexpr int kSlotKeys = kBlockWarps * kGroupKeys;
  static_assert(kTileKeys <= kSlotKeys);
  static constexpr int kSharedBytes = kSlots * kSlotKeys * kRowBytes;
};

__device__ int lane_id() {
  return static_cast<int>(threadIdx.x) % kWarp;
}

__device__ void copy_unit(uint32_t to, const std::byte* from, bool wanted) {
  // What is not wanted becomes zeros, and is not read.
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
               "r"(wanted ? kUnitBytes : 0)
               : "memory");
}

__device__ void load_matrices(uint32_t (&out)[4], uint32_t from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(from)
               : "memory");
}

__device__ void load_transposed(uint32_t (&out)[4], uint32_t from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(from)
               : "memory");
}

// The 16-bit type of a store: two numbers in a register, and the product of tiles.
template <class T>
struct Numbers;

template <>
struct Numbers<__half> {
  __device__ static uint32_t pack(float low, float high) {
    const __half2 pair = __floats2half2_rn(low, high);
    return *reinterpret_cast<const uint32_t*>(&pair);
  }
  // sums [16, 8] += a [16, 16] * b [16, 8].
  __device__ static void multiply(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0,
                                  uint32_t b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
};

template <>
struct Numbers<__nv_bfloat16> {
  __device__ static uint32_t pack(float low, float high) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<const uint32_t*>(&pair);
  }
  __device__ static void multiply(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0,
                                  uint32_t b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
};

// The keys and values of an item on their way through shared memory, in chunks: of each tile of
// keys first the keys, then the values. kSlots - 1 chunks are under way while one is worked on.
// With kWarps = 1 a chunk is a group of keys for one warp, otherwise a whole tile for the thread
// block.
template <int D, int kWarps>
class KvStream {
 public:
  using Memory = Layout<D>;
  static constexpr int kTileKeys = Memory::kTileKeys;
  static constexpr int kChunkKeys = kWarps == 1 ? kGroupKeys : kTileKeys;
  static constexpr int kTileChunks = kTileKeys / kChunkKeys;
  static constexpr int kChunkBytes = kChunkKeys * Memory::kRowBytes;

  // Streams the tiles [first_tile, last_tile); keys outside of [first_key, last_key) are zeros.
  __device__ KvStream(const AttentionArgs& args, const AttentionItem& item, int kv_head,
                      int first_key, int last_key, int first_tile, int last_tile, uint32_t shared)
      : kv_(args.kv),
        table_(args.tables.blocks + args.tables.table_starts[item.sequence]),
        kv_head_(kv_head),
        first_key_(first_key),
        last_key_(last_key),
        tile_(first_tile),
        last_tile_(last_tile),
        segment_(first_tile * kTileKeys / kSegmentKeys),
        shared_(shared),
        group_offset_(find_group(segment_)),
        next_group_offset_(find_group(segment_ + 1)) {
#pragma unroll 1
    for (int i = 0; i < Memory::kSlots - 1; ++i) request();
  }

  // Where the next chunk is in shared memory, until the next call.
  __device__ uint32_t next() {
    asm volatile("cp.async.wait_group %0;" ::"n"(Memory::kSlots - 2) : "memory");
    // Now everybody's part of this chunk is there, and everybody is done with the chunk before,
    // whose slot takes the next request.
    if constexpr (kWarps == 1) {
      __syncwarp();
    } else {
      __syncthreads();
    }
    request();
    const uint32_t chunk = shared_ + static_cast<uint32_t>(read_slot_ * kChunkBytes);
    read_slot_ = read_slot_ + 1 == Memory::kSlots ? 0 : read_slot_ + 1;
    return chunk;
  }

 private:
  // Each lane looks up where one group of a segment's keys begins, from a layer's K or V in block
  // 0.
  __device__ int64_t find_group(int segment) const {
    const int key = segment * kSegmentKeys + lane_id() % kSegmentGroups * kGroupKeys;
    // The table need not have blocks for keys that nobody sees.
    if (key + kGroupKeys <= first_key_ || key >= last_key_) return 0;
    const int64_t row = int64_t{kv_head_} * kv_.block_size + key % kv_.block_size;
    return table_[key / kv_.block_size] * kv_.block_bytes + row * (D * 2);
  }

  __device__ void request() {
    if (tile_ < last_tile_) {
      const int segment = tile_ * kTileKeys / kSegmentKeys;
      if (segment != segment_) {
        segment_ = segment;
        group_offset_ = next_group_offset_;
        next_group_offset_ = find_group(segment + 1);
      }
      request_chunk();
      if (++chunk_ == 2 * kTileChunks) {
        chunk_ = 0;
        ++tile_;
      }
      write_slot_ = write_slot_ + 1 == Memory::kSlots ? 0 : write_slot_ + 1;
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  }

  __device__ void request_chunk() const {
    constexpr int kThreads = kWarps * kWarp;
    constexpr int kUnits = kChunkKeys * Memory::kRowUnits;
    static_assert(kUnits % kThreads == 0);
    const int thread = kWarps == 1 ? lane_id() : static_cast<int>(threadIdx.x);
    const int first = tile_ * kTileKeys + chunk_ % kTileChunks * kChunkKeys;
    const std::byte* from = kv_.memory + (chunk_ < kTileChunks ? kv_.key_offset : kv_.value_offset);
    const uint32_t to = shared_ + static_cast<uint32_t>(write_slot_ * kChunkBytes);
#pragma unroll
    for (int i = 0; i < kUnits / kThreads; ++i) {
      const int row = (thread + i * kThreads) / Memory::kRowUnits;
      const int unit = (thread + i * kThreads) % Memory::kRowUnits;
      const int key = first + row;
      const int64_t group =
          __shfl_sync(kAllLanes, group_offset_, key / kGroupKeys % kSegmentGroups);
      copy_unit(to + static_cast<uint32_t>(row * Memory::kRowBytes + unit * kUnitBytes),
                from + group + key % kGroupKeys * (D * 2) + unit * kUnitBytes,
                key >= first_key_ && key < last_key_);
    }
  }

  const KvView& kv_;
  const int32_t* table_;
  int kv_head_;
  int first_key_;
  int last_key_;
  int tile_;       // of the next request
  int last_tile_;  // one past
  int segment_;    // of tile_
  int chunk_ = 0;  // within the tile, of the next request
  int write_slot_ = 0;
  int read_slot_ = 0;
  uint32_t shared_;
  int64_t group_offset_;       // in segment_
  int64_t next_group_offset_;  // in the segment after it
};

// A lane holds two rows of the warp's tile, lane / 4 and eight below it, and of every eight columns
// two, from lane % 4 * 2 on: elements 0 and 1 are of the first row, 2 and 3 of the second.
template <int D>
struct RowStates {
  float maximum[2] = {minus_infinity(), minus_infinity()};
  float sum[2] = {0.0F, 0.0F};  // of the lane's own columns until sum_columns()
  float values[D / 8][4] = {};
};

// The largest of the values of the four lanes that share a row.
__device__ float row_maximum(float x) {
  x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, 1));
  return fmaxf(x, __shfl_xor_sync(kAllLanes, x, 2));
}

template <int D>
__device__ void sum_columns(RowStates<D>& state) {
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    state.sum[row] += __shfl_xor_sync(kAllLanes, state.sum[row], 1);
    state.sum[row] += __shfl_xor_sync(kAllLanes, state.sum[row], 2);
  }
}

// 16 pairs of an item, as one warp has them.
template <class T, int D, int kWarps>
class WarpRows {
 public:
  using Stream = KvStream<D, kWarps>;
  static constexpr int kTileKeys = Stream::kTileKeys;
  static constexpr int kRowBytes = Layout<D>::kRowBytes;

  __device__ WarpRows(const AttentionArgs& args, const AttentionItem& item, int first_pair,
                      int kv_head)
      : soft_cap_(args.soft_cap) {
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      pair_[row] = first_pair + lane_id() / 4 + 8 * row;
      // Rows behind the last pair compute what it does, for nothing.
      place_[row] = place_pair(args, item, min(pair_[row], item.pairs - 1), kv_head);
      const float* q = args.q + place_[row].offset + lane_id() % 4 * 2;
#pragma unroll
      for (int step = 0; step < D / 16; ++step) {
        queries_[step][row] = scaled(q + 16 * step, args.scale);
        queries_[step][row + 2] = scaled(q + 16 * step + 8, args.scale);
      }
    }
  }

  __device__ int pair(int row) const {
    return pair_[row];
  }
  __device__ int64_t offset(int row) const {
    return place_[row].offset;
  }

  // Folds the next tile of the stream.
  __device__ void fold_tile(Stream& stream, int tile, RowStates<D>& state) const {
    float scores[kTileKeys / 8][4] = {};
#pragma unroll
    for (int chunk = 0; chunk < Stream::kTileChunks; ++chunk) {
      add_scores(stream.next(), scores + chunk * (Stream::kChunkKeys / 8));
    }
    hide_unseen(tile * kTileKeys, scores);
    uint32_t weights[kTileKeys / 16][4];
    weigh(scores, weights, state);
#pragma unroll
    for (int chunk = 0; chunk < Stream::kTileChunks; ++chunk) {
      add_values(stream.next(), weights + chunk * (Stream::kChunkKeys / 16), state);
    }
  }

 private:
  __device__ static uint32_t scaled(const float* q, float scale) {
    const float2 pair = *reinterpret_cast<const float2*>(q);
    return Numbers<T>::pack(__fmul_rn(pair.x, scale), __fmul_rn(pair.y, scale));
  }

  // scores [16, keys] += queries * keys^T.
  __device__ void add_scores(uint32_t chunk, float (*scores)[4]) const {
    const int lane = lane_id();
    const uint32_t from =
        chunk + static_cast<uint32_t>((lane / 16 * 8 + lane % 8) * kRowBytes + lane / 8 % 2 * 16);
#pragma unroll
    for (int step = 0; step < D / 16; ++step) {
#pragma unroll
      for (int group = 0; group < Stream::kChunkKeys / kGroupKeys; ++group) {
        uint32_t keys[4];
        load_matrices(keys,
                      from + static_cast<uint32_t>(group * kGroupKeys * kRowBytes + step * 32));
        Numbers<T>::multiply(scores[2 * group], queries_[step], keys[0], keys[1]);
        Numbers<T>::multiply(scores[2 * group + 1], queries_[step], keys[2], keys[3]);
      }
    }
  }

  // Caps the scores of keys from first_key on, and makes those a row does not see -infinity.
  __device__ void hide_unseen(int first_key, float (&scores)[kTileKeys / 8][4]) const {
    if (soft_cap_ > 0.0F) {
#pragma unroll
      for (int i = 0; i < kTileKeys / 2; ++i) {
        scores[i / 4][i % 4] = cap_score(scores[i / 4][i % 4], soft_cap_);
      }
    }
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      const int first = place_[row].first_key;
      const int last = place_[row].last_key;
      if (first_key >= first && first_key + kTileKeys <= last) continue;
#pragma unroll
      for (int i = 0; i < kTileKeys / 4; ++i) {
        const int key = first_key + i / 2 * 8 + lane_id() % 4 * 2 + i % 2;
        float& score = scores[i / 2][2 * row + i % 2];
        if (key < first || key >= last) score = minus_infinity();
      }
    }
  }

  // Turns scores into weights, rounded, and puts what was folded before in relation to them.
  __device__ static void weigh(float (&scores)[kTileKeys / 8][4],
                               uint32_t (&weights)[kTileKeys / 16][4], RowStates<D>& state) {
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      float largest = minus_infinity();
#pragma unroll
      for (int i = 0; i < kTileKeys / 4; ++i) {
        largest = fmaxf(largest, scores[i / 2][2 * row + i % 2]);
      }
      largest = fmaxf(state.maximum[row], __fmul_rn(row_maximum(largest), kLog2E));
      const float base = reference(largest);
      const float factor = exp2_fast(state.maximum[row] - base);
      state.maximum[row] = largest;
      float sum = 0.0F;
#pragma unroll
      for (int i = 0; i < kTileKeys / 4; ++i) {
        float& score = scores[i / 2][2 * row + i % 2];
        score = exp2_fast(__fmaf_rn(score, kLog2E, -base));
        sum += score;
      }
      state.sum[row] = __fmaf_rn(state.sum[row], factor, sum);
#pragma unroll
      for (int i = 0; i < D / 4; ++i) {
        float& value = state.values[i / 2][2 * row + i % 2];
        value = __fmul_rn(value, factor);
      }
    }
#pragma unroll
    for (int i = 0; i < kTileKeys / 4; ++i) {
      const float* pair = scores[i / 2] + i % 2 * 2;
      weights[i / 4][i % 4] = Numbers<T>::pack(pair[0], pair[1]);
    }
  }

  // state.values [16, D] += weights [16, keys] * values [keys, D].
  __device__ static void add_values(uint32_t chunk, const uint32_t (*weights)[4],
                                    RowStates<D>& state) {
    const int lane = lane_id();
    const uint32_t from =
        chunk + static_cast<uint32_t>((lane / 8 % 2 * 8 + lane % 8) * kRowBytes + lane / 16 * 16);
#pragma unroll
    for (int group = 0; group < Stream::kChunkKeys / kGroupKeys; ++group) {
#pragma unroll
      for (int step = 0; step < D / 16; ++step) {
        uint32_t values[4];
        load_transposed(values,
                        from + static_cast<uint32_t>(group * kGroupKeys * kRowBytes + step * 32));
        Numbers<T>::multiply(state.values[2 * step], weights[group], values[0], values[1]);
        Numbers<T>::multiply(state.values[2 * step + 1], weights[group], values[2], values[3]);
      }
    }
  }

  float soft_cap_;
  int pair_[2];
  PairPlace place_[2];
  uint32_t queries_[D / 16][4];
};

// Calls body(first of two columns, first of two elements) for the columns of a lane.
template <int D, class Body>
__device__ void for_columns(int row, RowStates<D>& state, const Body& body) {
#pragma unroll
  for (int i = 0; i < D / 8; ++i) body(8 * i + lane_id() % 4 * 2, state.values[i] + 2 * row);
}

template <int D>
__device__ void write_record(float* record, int row, RowStates<D>& state) {
  if (lane_id() % 4 == 0) {
    *reinterpret_cast<float2*>(record) = make_float2(state.maximum[row], state.sum[row]);
  }
  for_columns(row, state, [&](int column, const float* values) {
    *reinterpret_cast<float2*>(record + 4 + column) = make_float2(values[0], values[1]);
  });
}

template <int D>
__device__ void write_result(float* out, int row, RowStates<D>& state) {
  const float inverse = inverse_sum(state.sum[row]);
  for_columns(row, state, [&](int column, const float* values) {
    *reinterpret_cast<float2*>(out + column) =
        make_float2(__fmul_rn(values[0], inverse), __fmul_rn(values[1], inverse));
  });
}

template <int D>
__device__ void merge_states(RowStates<D>& into, const RowStates<D>& next) {
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    const MergeFactors factors =
        merge_factors(into.maximum[row], into.sum[row], next.maximum[row], next.sum[row]);
#pragma unroll
    for (int i = 0; i < D / 4; ++i) {
      float& value = into.values[i / 2][2 * row + i % 2];
      value = merge_value(value, next.values[i / 2][2 * row + i % 2], factors);
    }
  }
}

// An item for one key head, by one warp or by the thread block.
template <class T, int D, int kWarps>
__device__ void attend_item(const AttentionArgs& args, const AttentionItem& item, int kv_head,
                            uint32_t shared) {
  constexpr int kTileKeys = Layout<D>::kTileKeys;
  constexpr int kSegmentTiles = kSegmentKeys / kTileKeys;
  const int warp = kWarps == 1 ? 0 : static_cast<int>(threadIdx.x) / kWarp;
  const int first_key = place_pair(args, item, 0, kv_head).first_key;
  const int last_key = place_pair(args, item, item.pairs - 1, kv_head).last_key;
  int tile = max(first_key / kTileKeys, item.first_segment * kSegmentTiles);
  const int last_tile = min((last_key + kTileKeys - 1) / kTileKeys,
                            (item.first_segment + item.segments) * kSegmentTiles);
  KvStream<D, kWarps> stream(args, item, kv_head, first_key, last_key, tile, last_tile, shared);
  const WarpRows<T, D, kWarps> rows(args, item, warp * kStripPairs, kv_head);
  // Of a long head this does not fit into registers beside a segment's own state, and waits in
  // local memory, where it is wanted once a segment.
  RowStates<D> merged;
  const int segments = kWarps == 1 ? 1 : item.segments;
  for (int segment = 0; segment < segments; ++segment) {
    RowStates<D> state;
    const int end = min(last_tile, (item.first_segment + segment + 1) * kSegmentTiles);
    for (; tile < end; ++tile) rows.fold_tile(stream, tile, state);
    sum_columns(state);
    if (item.record < 0) {
      merge_states(merged, state);
      continue;
    }
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      if (rows.pair(row) >= item.pairs) continue;
      write_record(record_of(args, item, rows.pair(row), segment, kv_head), row, state);
    }
  }
  if (item.record >= 0) return;
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    if (rows.pair(row) < item.pairs) write_result(args.out + rows.offset(row), row, merged);
  }
}

template <class T, int D>
__global__ void __launch_bounds__(kBlockWarps* kWarp, 2)
    attend_tensor(const __grid_constant__ AttentionArgs args) {
  extern __shared__ __align__(16) unsigned char memory[];
  const auto shared = static_cast<uint32_t>(__cvta_generic_to_shared(memory));
  const auto& header = *reinterpret_cast<const AttentionPlanHeader*>(args.plan);
  const int block = static_cast<int>(blockIdx.x);
  const int kv_head = static_cast<int>(blockIdx.y);
  if (block < header.tiles) {
    const AttentionItem item = items_of(args.plan)[block];
    attend_item<T, D, kBlockWarps>(args, item, kv_head, shared);
    return;
  }
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int strip = (block - header.tiles) * kBlockWarps + warp;
  if (strip >= header.strips) return;
  constexpr int kWarpBytes = Layout<D>::kSharedBytes / kBlockWarps;
  const AttentionItem item = items_of(args.plan)[header.tiles + strip];
  attend_item<T, D, 1>(args, item, kv_head, shared + static_cast<uint32_t>(warp * kWarpBytes));
}

template <class T, int D>
void launch(const AttentionArgs& args, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned int>(args.block_capacity),
                  static_cast<unsigned int>(args.kv.kv_heads));
  constexpr int kBytes = Layout<D>::kSharedBytes;
  cudaFuncSetAttribute(attend_tensor<T, D>, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  attend_tensor<T, D><<<grid, kBlockWarps * kWarp, kBytes, stream>>>(args);
}

template <class T>
void launch_for_head(const AttentionArgs& args, cudaStream_t stream) {
  switch (args.kv.head_dim) {
    case 64:
      return launch<T, 64>(args, stream);
    case 96:
      return launch<T, 96>(args, stream);
    case 128:
      return launch<T, 128>(args, stream);
    default:
      return launch<T, 256>(args, stream);
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
