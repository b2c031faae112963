// What the attention kernels share: finding work in a plan, and the arithmetic of merging segments.
// Device code only.
//
// Order of operations behind a result, which no kernel may change: within each absolute segment of
// kSegmentKeys keys the keys a pair sees are folded in order, starting afresh, to
//   maximum m = max(s) * log2(e), sum = Σ 2^(s log2(e) - m), values = Σ 2^(s log2(e) - m) v
// and segments are merged in ascending order, beginning with the first, by merge_factors() and
// merge_value(). A pair that sees no key of a segment has maximum -infinity, sum 0 and values 0;
// merging such a state changes no bit.
#pragma once

#include <cstdint>

#include "backend/cuda/attention.h"

namespace octavo::cuda {

inline constexpr int kWarp = 32;
inline constexpr float kLog2E = 1.4426950408889634F;

__device__ inline float minus_infinity() {
  return __int_as_float(static_cast<int>(0xFF800000U));
}

// 2^x; results below the normal floats become 0.
__device__ inline float exp2_fast(float x) {
  float out;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(out) : "f"(x));
  return out;
}

// What weights are relative to: the maximum, or 0 where there is none yet, so that 2^(-infinity -
// it) is 0 and not NaN.
__device__ inline float reference(float maximum) {
  return maximum == minus_infinity() ? 0.0F : maximum;
}

// cap * tanh(score / cap).
__device__ inline float cap_score(float score, float cap) {
  const float power = exp2_fast(__fdiv_rn(score, cap) * (2.0F * kLog2E));
  return cap * (1.0F - __fdividef(2.0F, power + 1.0F));
}

struct MergeFactors {
  float before;
  float next;
};

// Updates the maximum and the sum of the segments so far by those of the next segment.
__device__ inline MergeFactors merge_factors(float& maximum, float& sum, float next_maximum,
                                             float next_sum) {
  const float largest = fmaxf(maximum, next_maximum);
  const float base = reference(largest);
  const MergeFactors factors = {exp2_fast(maximum - base), exp2_fast(next_maximum - base)};
  maximum = largest;
  sum = __fmaf_rn(next_sum, factors.next, __fmul_rn(sum, factors.before));
  return factors;
}

__device__ inline float merge_value(float value, float next, const MergeFactors& factors) {
  return __fmaf_rn(next, factors.next, __fmul_rn(value, factors.before));
}

// What values are multiplied by in the end.
__device__ inline float inverse_sum(float sum) {
  return __frcp_rn(sum);
}

__device__ inline const AttentionItem* items_of(const int32_t* plan) {
  return reinterpret_cast<const AttentionItem*>(plan +
                                                sizeof(AttentionPlanHeader) / sizeof(int32_t));
}

// The query row of a pair, its head and the keys it sees.
struct PairPlace {
  int64_t offset;     // of the head in q and out
  int32_t first_key;  // the keys seen are [first_key, last_key)
  int32_t last_key;
};

__device__ inline PairPlace place_pair(const AttentionArgs& args, const AttentionItem& item,
                                       int pair, int kv_head) {
  const int in_sequence = item.first_pair + pair;
  const int row = item.first_row + in_sequence / args.heads_per_kv_head;
  const int head = kv_head * args.heads_per_kv_head + in_sequence % args.heads_per_kv_head;
  const int64_t heads = int64_t{args.kv.kv_heads} * args.heads_per_kv_head;
  const int last = args.step.positions[row] + 1;
  return {(row * heads + head) * args.kv.head_dim, args.window > 0 ? max(0, last - args.window) : 0,
          last};
}

// The record of a pair of an item and the segment-th of its segments.
__device__ inline float* record_of(const AttentionArgs& args, const AttentionItem& item, int pair,
                                   int segment, int kv_head) {
  const int64_t index = int64_t{item.record} + int64_t{segment} * item.pairs + pair;
  return args.partials + (index * args.kv.kv_heads + kv_head) * record_floats(args.kv.head_dim);
}

}  // namespace octavo::cuda
