// Rounds activations to bytes, 32 at a time (ActivationChunk in linear.h).
#pragma once

#include "backend/cpu/linear.h"
#include "backend/cpu/simd.h"

namespace octavo::cpu::OCTAVO_ISA {

// The greatest absolute value. NaN compares false and so counts as infinity.
OCTAVO_INLINE float greatest_size(F32x16 first, F32x16 second) {
  const F32x16 infinity = broadcast(__builtin_inff());
  const F32x16 first_size = select_less(abs(first), infinity, abs(first), infinity);
  const F32x16 second_size = select_less(abs(second), infinity, abs(second), infinity);
  return reduce_max(max(first_size, second_size));
}

OCTAVO_INLINE void quantize_chunk(const float* x, ActivationChunk& out) {
  const F32x16 first = load(x);
  const F32x16 second = load(x + 16);
  const float greatest = greatest_size(first, second);
  // Below this, 127 / greatest could overflow.
  const bool usable = greatest >= 0x1p-100f && greatest < __builtin_inff();
  const float scale = usable ? greatest / 127.0f : (greatest < 1.0f ? 0.0f : greatest);
  I32x16 first_codes = broadcast_i32(0);
  I32x16 second_codes = broadcast_i32(0);
  if (usable) {
    const F32x16 inverse = broadcast(127.0f / greatest);
    first_codes = to_i32(mul(first, inverse));
    second_codes = to_i32(mul(second, inverse));
  }
  store_i8(out.codes, first_codes);
  store_i8(out.codes + 16, second_codes);
  const int32_t first_sum = reduce_add(first_codes);
  const int32_t second_sum = reduce_add(second_codes);
  out.scale = scale;
  out.scaled_sum = scale * static_cast<float>(first_sum + second_sum);
  out.scaled_half_sums[0] = scale * static_cast<float>(first_sum);
  out.scaled_half_sums[1] = scale * static_cast<float>(second_sum);
  out.negative_sum = -(first_sum + second_sum);
  out.negative_half_sums[0] = -first_sum;
  out.negative_half_sums[1] = -second_sum;
  out.unused = 0;
}

inline void quantize_rows(const QuantizeArgs& args) {
  const size_t chunks = args.columns / kChunk;
  for (size_t row = args.row_begin; row < args.row_end; ++row) {
    const float* x = args.x + row * args.x_stride;
    ActivationChunk* out = args.out + row * chunks;
    for (size_t i = 0; i < chunks; ++i) quantize_chunk(x + i * kChunk, out[i]);
  }
}

}  // namespace octavo::cpu::OCTAVO_ISA
