// Rows of activations as f16 with a scale, and where their values go for wide_tiles.h. Device code
// only.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include "backend/cuda/half_bits.h"
#include "backend/cuda/round_rows.h"

namespace octavo::cuda {

inline constexpr uint32_t kInfinityBits = 0x7F800000U;
inline constexpr int kLargestExponent = 10;  // of a row of f16

// How a row with the greatest magnitude `greatest` becomes f16.
struct RowScale {
  bool finite;
  float factor;   // f16 = x * factor
  float inverse;  // x = f16 * inverse; NaN where the row is not finite
};

__device__ inline RowScale scale_of(uint32_t greatest) {
  if (greatest >= kInfinityBits) return {false, 0.0F, __uint_as_float(0x7FC00000U)};
  // Below 2^-110 the inverse would not be a normal float; such rows are only scaled up as far.
  const int exponent = max(static_cast<int>(greatest >> 23) - 127, -110);
  return {true, power_of_two(kLargestExponent - exponent),
          power_of_two(exponent - kLargestExponent)};
}

__device__ inline uint32_t scaled_pair(float2 x, const RowScale& scale) {
  if (!scale.finite) return 0;
  const __half2 pair = __floats2half2_rn(x.x * scale.factor, x.y * scale.factor);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

// Where unit `i` of a row is, in units of 16 bytes: eight values, two each of four chunks. The
// units of a line of 128 bytes are exchanged by the row modulo 8.
__device__ inline int64_t wide_unit(int64_t i, int64_t row, int64_t rows) {
  constexpr int kLineUnits = kWideGroup / 16;
  return (i / kLineUnits * rows + row) * kLineUnits + (i % kLineUnits ^ row % 8);
}

// Stores columns 4 * four to 4 * four + 3 of a row.
__device__ inline void store_wide(void* out, int64_t rows, int64_t row, int four, const float4& x,
                                  const RowScale& scale) {
  constexpr int kGroupFours = kWideGroup / 4;
  const int chunk = four % kGroupFours / 8;
  const int step = four % 8;
  auto* words = static_cast<uint32_t*>(out);
  const int64_t unit = int64_t{four} / kGroupFours * (kWideGroup / 8) + 2 * step;
  words[wide_unit(unit, row, rows) * 4 + chunk] = scaled_pair({x.x, x.y}, scale);
  words[wide_unit(unit + 1, row, rows) * 4 + chunk] = scaled_pair({x.z, x.w}, scale);
}

}  // namespace octavo::cuda
