// Attention in floats, for any head and any type of the store: simple and slow.
#include "backend/cuda/attention_state.h"
#include "backend/cuda/launch.cuh"
#include "backend/cuda/numbers.cuh"

namespace octavo::cuda {
namespace {

constexpr int kLaneKeys = kSegmentKeys / kWarp;
constexpr int kLaneValues = kMaxAttentionHeadDim / kWarp;
constexpr unsigned int kAllLanes = 0xFFFFFFFFU;

// The state of one pair, held by a warp: lane l has values l, l + 32 and so on.
struct WarpState {
  float maximum = minus_infinity();
  float sum = 0.0F;
  float values[kLaneValues] = {};
};

// Where one key's K or V begins, from the layer's in block 0.
template <class T>
__device__ const T* key_row(const AttentionArgs& args, const AttentionItem& item, int kv_head,
                            int key, int64_t part) {
  const KvView& kv = args.kv;
  const int32_t* table = args.tables.blocks + item.first_block;
  const int64_t block = table[key / kv.block_size];
  const int64_t row = int64_t{kv_head} * kv.block_size + key % kv.block_size;
  return reinterpret_cast<const T*>(kv.memory + part + block * kv.block_bytes) + row * kv.head_dim;
}

template <class T>
__device__ float score_key(const AttentionArgs& args, const float* q, const T* key) {
  float sum = 0.0F;
  for (int d = 0; d < args.kv.head_dim; ++d) sum = fmaf(q[d], to_float(key[d]), sum);
  const float score = sum * args.scale;
  return args.soft_cap > 0.0F ? cap_score(score, args.soft_cap) : score;
}

// Folds the keys [first, last) of one segment. A lane scores every 32nd key.
template <class T>
__device__ WarpState fold_segment(const AttentionArgs& args, const AttentionItem& item, int kv_head,
                                  const float* q, int segment, int first, int last) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  float scores[kLaneKeys];
  WarpState state;
#pragma unroll
  for (int i = 0; i < kLaneKeys; ++i) {
    const int key = segment * kSegmentKeys + i * kWarp + lane;
    scores[i] = minus_infinity();
    if (key >= first && key < last) {
      const T* row = key_row<T>(args, item, kv_head, key, args.kv.key_offset);
      scores[i] = score_key(args, q, row);
    }
    state.maximum = fmaxf(state.maximum, scores[i]);
  }
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    state.maximum = fmaxf(state.maximum, __shfl_xor_sync(kAllLanes, state.maximum, offset));
  }
  state.maximum *= kLog2E;
  const float base = reference(state.maximum);
#pragma unroll
  for (int i = 0; i < kLaneKeys; ++i) {
    scores[i] = exp2_fast(__fmaf_rn(scores[i], kLog2E, -base));
    state.sum += scores[i];
  }
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    state.sum += __shfl_xor_sync(kAllLanes, state.sum, offset);
  }
#pragma unroll
  for (int i = 0; i < kLaneKeys; ++i) {
    for (int source = 0; source < kWarp; ++source) {
      const float weight = __shfl_sync(kAllLanes, scores[i], source);
      const int key = segment * kSegmentKeys + i * kWarp + source;
      if (key < first || key >= last) continue;
      const T* row = key_row<T>(args, item, kv_head, key, args.kv.value_offset);
#pragma unroll
      for (int v = 0; v < kLaneValues; ++v) {
        const int d = v * kWarp + lane;
        if (d < args.kv.head_dim) {
          state.values[v] = fmaf(weight, to_float(row[d]), state.values[v]);
        }
      }
    }
  }
  return state;
}

template <class T>
__device__ void attend_pair(const AttentionArgs& args, const AttentionItem& item, int pair,
                            int kv_head) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const PairPlace place = place_pair(args, item, pair, kv_head);
  WarpState state;
  for (int segment = 0; segment < item.segments; ++segment) {
    const WarpState next =
        fold_segment<T>(args, item, kv_head, args.q + place.offset, item.first_segment + segment,
                        place.first_key, place.last_key);
    if (item.record >= 0) {
      float* record = record_of(args, item, pair, segment, kv_head);
      if (lane == 0) *reinterpret_cast<float2*>(record) = make_float2(next.maximum, next.sum);
#pragma unroll
      for (int v = 0; v < kLaneValues; ++v) {
        const int d = v * kWarp + lane;
        if (d < args.kv.head_dim) record[4 + d] = next.values[v];
      }
      continue;
    }
    const MergeFactors factors = merge_factors(state.maximum, state.sum, next.maximum, next.sum);
#pragma unroll
    for (int v = 0; v < kLaneValues; ++v) {
      state.values[v] = merge_value(state.values[v], next.values[v], factors);
    }
  }
  if (item.record >= 0) return;
  const float inverse = inverse_sum(state.sum);
#pragma unroll
  for (int v = 0; v < kLaneValues; ++v) {
    const int d = v * kWarp + lane;
    if (d < args.kv.head_dim) {
      args.out[place.offset + d] = __fmul_rn(state.values[v], inverse);
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kBlockWarps* kWarp) attend_general(AttentionArgs args) {
  follow_previous();
  const auto& header = *reinterpret_cast<const AttentionPlanHeader*>(args.plan);
  const int block = static_cast<int>(blockIdx.x);
  const int kv_head = static_cast<int>(blockIdx.y);
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  if (block >= header.tiles + header.strips) return;
  const AttentionItem item = items_of(args.plan)[block];
  for (int pair = warp; pair < item.pairs; pair += kBlockWarps) {
    attend_pair<T>(args, item, pair, kv_head);
  }
}

}  // namespace

void launch_general_attention(const AttentionArgs& args, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned int>(args.block_capacity),
                  static_cast<unsigned int>(args.kv.kv_heads));
  constexpr int kThreads = kBlockWarps * kWarp;
  switch (args.kv.type) {
    case DType::f16:
      launch(attend_general<__half>, grid, kThreads, args, stream);
      break;
    case DType::bf16:
      launch(attend_general<__nv_bfloat16>, grid, kThreads, args, stream);
      break;
    default:
      launch(attend_general<float>, grid, kThreads, args, stream);
      break;
  }
}

}  // namespace octavo::cuda
