// RMS norm of one row (Zhang and Sennrich, 2019), for the instruction set of the translation unit.
#pragma once

#include <cstdint>

#include "backend/cpu/simd.h"

namespace octavo::cpu::OCTAVO_ISA {

// out = x / sqrt(mean(x^2) + epsilon) * weight. out may be x. The squares are summed in 16 lanes
// over the row ascending, then the lanes as a tree.
inline void rms_norm_row(float* out, const float* x, const float* weight, float epsilon,
                         int64_t columns) {
  F32x16 squares = zero();
  int64_t i = 0;
  for (; i + 16 <= columns; i += 16) {
    const F32x16 value = load(x + i);
    squares = fma(value, value, squares);
  }
  const int rest = static_cast<int>(columns - i);
  if (rest > 0) {
    const F32x16 value = load_partial(x + i, rest);
    squares = fma(value, value, squares);
  }
  const float mean = reduce_add(squares) / static_cast<float>(columns);
  const F32x16 scale = broadcast(1.0f / __builtin_sqrtf(mean + epsilon));
  for (i = 0; i + 16 <= columns; i += 16) {
    store(out + i, mul(mul(load(x + i), scale), load(weight + i)));
  }
  if (rest > 0) {
    const F32x16 scaled = mul(load_partial(x + i, rest), scale);
    store_partial(out + i, mul(scaled, load_partial(weight + i, rest)), rest);
  }
}

}  // namespace octavo::cpu::OCTAVO_ISA
