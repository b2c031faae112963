// Inputs for the operations of the vector layer: random ones with special values among them.
// Deterministic for a seed, on every machine: no expression draws two numbers, since their order
// would be the compiler's.
#pragma once

#include <cmath>
#include <limits>
#include <random>

#include "backend/simd_probe.h"
#include "base/float16.h"

namespace octavo::cpu::testing {

// A float of any magnitude from 2^-`range` to 2^`range`, or one of the special values. No NaN, of
// which instruction sets disagree about the sign.
inline float any_float(std::mt19937_64& random, int range) {
  constexpr float kSpecial[] = {0.0f,
                                -0.0f,
                                1.0f,
                                -0.5f,
                                2.5f,
                                65504.0f,
                                65519.9f,
                                -65520.0f,
                                0x1p-24f,
                                0x1.8p-25f,
                                std::numeric_limits<float>::denorm_min(),
                                -std::numeric_limits<float>::max()};
  if (random() % 8 == 0) return kSpecial[random() % std::size(kSpecial)];
  const auto mantissa = 1 + static_cast<float>(static_cast<double>(random() >> 41) * 0x1p-23);
  const int exponent = static_cast<int>(random() % static_cast<uint64_t>(2 * range)) - range;
  const float sign = (random() & 1) != 0 ? 1.0f : -1.0f;
  return std::ldexp(sign * mantissa, exponent);
}

inline SimdInput random_simd_input(std::mt19937_64& random) {
  SimdInput in = {};
  const int range = random() % 2 == 0 ? 6 : 30;
  for (int i = 0; i < 16; ++i) {
    in.a[i] = any_float(random, range);
    in.b[i] = any_float(random, range);
    if (in.b[i] == 0.0f && in.a[i] == 0.0f) in.b[i] = 1.0f;  // 0 / 0
    in.c[i] = any_float(random, range);
    in.small[i] = std::ldexp(random() % 2 == 0 ? 1.25f : -1.75f, i + 12);
    if (random() % 4 == 0) in.small[i] = static_cast<float>(random() % 100) * 0.5f;  // ties
    in.power[i] = static_cast<float>(static_cast<int>(random() % 501) - 250);
    const float fraction = static_cast<float>(random() % 65536) * 0x1p-16f;
    in.factor[i] = std::ldexp(1 + fraction, static_cast<int>(random() % 4) - 2);
    in.half[i] = static_cast<uint16_t>(random());
    const bool nan =
        std::isnan(float_from_f16(in.half[i])) || std::isnan(float_from_bf16(in.half[i]));
    if (nan) in.half[i] = 0x7C00;
    in.i16[i] = static_cast<int16_t>(random());
    in.i8[i] = static_cast<int8_t>(random());
    in.u8[i] = static_cast<uint8_t>(random());
    in.table[i] = static_cast<uint8_t>(random());
  }
  for (int i = 0; i < 64; ++i) {
    in.weights[i] = static_cast<uint8_t>(random());
    if (i % 4 == 0) in.weights[i] = i % 8 == 0 ? 0x7F : 0x80;  // the extremes of a byte
    in.indices[i] = static_cast<uint8_t>(random() % 16);
  }
  for (int8_t& value : in.four) {
    value = static_cast<int8_t>(static_cast<int>(random() % 255) - 127);
    if (random() % 4 == 0) value = value < 0 ? -127 : 127;
  }
  in.n = static_cast<int>(random() % 17);
  return in;
}

}  // namespace octavo::cpu::testing
