// Activations rounded to bytes, 32 at a time: what the products of few rows multiply. Whoever
// writes activations can write them rounded, too.
#pragma once

#include <cstdint>

#include "backend/cuda/weight_layout.h"

namespace octavo::cuda {

// What is known of 32 activations beside their codes: x is about scale * code.
struct alignas(16) RoundedChunk {
  float scale;           // greatest |x| / 127; infinity where one is infinite or NaN, with codes 0
  float scaled_sums[2];  // scale * sum of the codes 0 to 15 and 16 to 31
  float unused;
};

struct RoundedRows {
  int8_t* codes;         // [rows, columns], or null: not wanted
  RoundedChunk* chunks;  // [rows, columns / 32]
};

#ifdef __CUDACC__

// Eight lanes that follow each other have a chunk, four values each; `four` counts these fours from
// the first row on. All eight take part, or none.
__device__ inline void store_rounded(const RoundedRows& rows, int64_t four, const float4& x) {
  constexpr int kLanes = kChunk / 4;
  const unsigned int lane = threadIdx.x % 32;
  const unsigned int lanes = 0xFFU << (lane / kLanes * kLanes);
  float greatest = 0.0F;
  for (const float value : {x.x, x.y, x.z, x.w}) {
    // NaN counts as infinity.
    greatest = fmaxf(greatest, fabsf(value) < INFINITY ? fabsf(value) : INFINITY);
  }
  for (int offset = kLanes / 2; offset > 0; offset /= 2) {
    greatest = fmaxf(greatest, __shfl_xor_sync(lanes, greatest, offset));
  }
  // Below this, 127 / greatest could overflow.
  const bool usable = greatest >= 0x1p-100F && greatest < INFINITY;
  const float scale = usable ? greatest / 127.0F : (greatest < 1.0F ? 0.0F : greatest);
  const float inverse = usable ? 127.0F / greatest : 0.0F;
  int sum = 0;
  uint32_t word = 0;
  int shift = 0;
  for (const float value : {x.x, x.y, x.z, x.w}) {
    const int code = usable ? __float2int_rn(value * inverse) : 0;
    sum += code;
    word |= static_cast<uint32_t>(code & 0xFF) << shift;
    shift += 8;
  }
  sum += __shfl_xor_sync(lanes, sum, 1);
  sum += __shfl_xor_sync(lanes, sum, 2);
  const int other_sum = __shfl_xor_sync(lanes, sum, 4);
  reinterpret_cast<uint32_t*>(rows.codes)[four] = word;
  if (lane % kLanes == 0) {
    rows.chunks[four / kLanes] = {
        scale, {scale * static_cast<float>(sum), scale * static_cast<float>(other_sum)}, 0.0F};
  }
}

#endif

}  // namespace octavo::cuda
