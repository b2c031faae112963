#include "backend/cuda/attention_state.h"
#include "backend/cuda/launch.cuh"

namespace octavo::cuda {
namespace {

constexpr int kMergeThreads = 128;

// A thread block merges the records of a piece for one key head; a warp has a pair at a time, a
// lane every 32nd value of it.
__global__ void __launch_bounds__(kMergeThreads) merge_records(AttentionArgs args) {
  follow_previous();
  const auto& header = *reinterpret_cast<const AttentionPlanHeader*>(args.plan);
  const int merge = static_cast<int>(blockIdx.x);
  const int kv_head = static_cast<int>(blockIdx.y);
  if (merge >= header.merges) return;
  const AttentionItem item = items_of(args.plan)[header.tiles + header.strips + merge];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int pair = static_cast<int>(threadIdx.x) / kWarp; pair < item.pairs;
       pair += kMergeThreads / kWarp) {
    float* out = args.out + place_pair(args, item, pair, kv_head).offset;
    const float* first = record_of(args, item, pair, 0, kv_head);
    const int64_t step = int64_t{item.pairs} * args.kv.kv_heads * record_floats(args.kv.head_dim);
    // Four values at once, so that their loads are under way together.
    for (int start = lane; start < args.kv.head_dim; start += 4 * kWarp) {
      float maximum = minus_infinity();
      float sum = 0.0F;
      float values[4] = {};
#pragma unroll 4
      for (int segment = 0; segment < item.segments; ++segment) {
        const float* record = first + segment * step;
        const float2 stats = *reinterpret_cast<const float2*>(record);
        const MergeFactors factors = merge_factors(maximum, sum, stats.x, stats.y);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int d = start + i * kWarp;
          const float next = d < args.kv.head_dim ? record[4 + d] : 0.0F;
          values[i] = merge_value(values[i], next, factors);
        }
      }
      const float inverse = inverse_sum(sum);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int d = start + i * kWarp;
        if (d < args.kv.head_dim) out[d] = __fmul_rn(values[i], inverse);
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
