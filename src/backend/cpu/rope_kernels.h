// Rotary position embedding of one row, for the instruction set of the translation unit.
#pragma once

#include <cstdint>

#include "backend/cpu/simd.h"

namespace octavo::cpu::OCTAVO_ISA {

// Turns pair i of every head by the angle whose cosine and sine are given; the dimensions of a head
// beyond 2 * pairs stay as they are.
inline void rotate_row(float* row, int32_t heads, int32_t head_dim, const float* cosines,
                       const float* sines, int32_t pairs, bool interleaved) {
  for (int32_t head = 0; head < heads; ++head) {
    float* x = row + static_cast<int64_t>(head) * head_dim;
    if (interleaved) {
      for (int32_t i = 0; i < pairs; ++i) {
        const float a = x[2 * i];
        const float b = x[2 * i + 1];
        x[2 * i] = a * cosines[i] - b * sines[i];
        x[2 * i + 1] = b * cosines[i] + a * sines[i];
      }
      continue;
    }
    for (int32_t i = 0; i < pairs; i += 16) {
      const int lanes = pairs - i < 16 ? pairs - i : 16;
      const F32x16 a = load_partial(x + i, lanes);
      const F32x16 b = load_partial(x + pairs + i, lanes);
      const F32x16 cosine = load_partial(cosines + i, lanes);
      const F32x16 sine = load_partial(sines + i, lanes);
      store_partial(x + i, sub(mul(a, cosine), mul(b, sine)), lanes);
      store_partial(x + pairs + i, add(mul(b, cosine), mul(a, sine)), lanes);
    }
  }
}

}  // namespace octavo::cpu::OCTAVO_ISA
