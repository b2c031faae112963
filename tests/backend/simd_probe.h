// Runs every operation of the vector layer once, on any instruction set, for simd_test.cpp and
// kernel_digest.cpp to compare.
#pragma once

#include <cstdint>
#include <vector>

namespace octavo::cpu::testing {

struct SimdInput {
  float a[16], b[16], c[16];
  float small[16];   // what to_i32 can hold
  float power[16];   // whole numbers in [-250, 250]
  float factor[16];  // magnitudes 1/4 to 4
  uint16_t half[16];
  int16_t i16[16];
  int8_t i8[16];
  uint8_t u8[16];
  uint8_t weights[64];
  uint8_t indices[64];  // below 16
  uint8_t table[16];
  int8_t four[4];  // not -128
  int n;           // 0 to 16
};

struct SimdOutput {
  float zero[16], broadcast[16], partial[16], stored_partial[16], first[16], less[16];
  float add[16], sub[16], mul[16], div[16], fma[16], max[16], min[16], abs[16], round[16];
  float scaled[16], looked_up[16], reduced[2];
  float from_f16[16], from_bf16[16], exp[16], sigmoid[16], silu[16], tanh[16], gelu_tanh[16];
  uint16_t to_f16[16];
  int32_t wide_u8[16], wide_i8[16], wide_i16[16], to_i32[16];
  int32_t add_i32[16], sub_i32[16], mul_i32[16], and_i32[16], left[16], right[16], reduced_i32;
  int8_t narrow[16];
  float to_f32[16], bits[16];
  int32_t dot_u7[16], dot_looked_up[16], dot_shifted[16], dot_signed[16];
};

struct SimdProbe {
  const char* name;
  void (*run)(const SimdInput& in, SimdOutput& out);
};

// Those that this machine can run; the first is scalar.
std::vector<SimdProbe> available_probes();

}  // namespace octavo::cpu::testing
