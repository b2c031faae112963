#include "backend/cuda/attention_state.h"
#include "backend/cuda/launch.cuh"

namespace octavo::cuda {
namespace {

constexpr int kMergeThreads = 128;

// A thread block merges the records of a piece for one key head; a warp has a pair at a time, a
// lane four values that follow each other. Behind the last value, records are padded.
__global__ void __launch_bounds__(kMergeThreads)
    merge_records(const __grid_constant__ AttentionArgs args) {
  follow_previous();
  const auto& header = *reinterpret_cast<const AttentionPlanHeader*>(args.plan);
  const int merge = static_cast<int>(blockIdx.x);
  const int kv_head = static_cast<int>(blockIdx.y);
  if (merge >= header.merges) return;
  const AttentionItem item = items_of(args.plan)[header.tiles + header.strips + merge];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int pair = static_cast<int>(threadIdx.x) / kWarp; pair < item.pairs;
       pair += kMergeThreads / kWarp) {
    const int64_t offset = place_pair(args, item, pair, kv_head).offset;
    const float* first = record_of(args, item, pair, 0, kv_head);
    const int64_t step = int64_t{item.pairs} * args.kv.kv_heads * record_floats(args.kv.head_dim);
    for (int start = 4 * lane; start < args.kv.head_dim; start += 4 * kWarp) {
      float maximum = minus_infinity();
      float sum = 0.0F;
      float values[4] = {};
#pragma unroll 4
      for (int segment = 0; segment < item.segments; ++segment) {
        const float* record = first + segment * step;
        const float2 stats = *reinterpret_cast<const float2*>(record);
        const float4 next = *reinterpret_cast<const float4*>(record + 4 + start);
        const MergeFactors factors = merge_factors(maximum, sum, stats.x, stats.y);
        values[0] = merge_value(values[0], next.x, factors);
        values[1] = merge_value(values[1], next.y, factors);
        values[2] = merge_value(values[2], next.z, factors);
        values[3] = merge_value(values[3], next.w, factors);
      }
      const float inverse = inverse_sum(sum);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        values[i] = __fmul_rn(values[i], inverse);
        if (start + i < args.kv.head_dim) args.out[offset + start + i] = values[i];
      }
      if (args.rounded.codes != nullptr) {
        store_rounded(args.rounded, (offset + start) / 4,
                      {values[0], values[1], values[2], values[3]});
      }
    }
  }
}

}  // namespace

void launch_attention_merge(const AttentionArgs& args, cudaStream_t stream) {
  if (args.merge_capacity == 0) return;
  const dim3 grid(static_cast<unsigned int>(args.merge_capacity),
                  static_cast<unsigned int>(args.kv.kv_heads));
  launch(merge_records, grid, kMergeThreads, args, stream);
}

}  // namespace octavo::cuda
