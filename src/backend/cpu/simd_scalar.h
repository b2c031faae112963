// The vector layer in plain C++: 16 lanes are an array. It defines what every other instruction
// set must compute, bit for bit, and serves machines that have none of them.
//
// simd.h documents the operations; this file only says how they are done here. To be included by
// one translation unit that is compiled for the base instruction set.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/float16.h"

#ifdef OCTAVO_ISA
#error "a translation unit has one instruction set"
#endif
#define OCTAVO_ISA scalar
#define OCTAVO_INLINE inline __attribute__((always_inline))

namespace octavo::cpu::OCTAVO_ISA {

struct F32x16 {
  float v[16];
};
struct I32x16 {
  int32_t v[16];
};
struct U8x64 {
  uint8_t v[64];
};

inline constexpr int kRowTile = 4;
inline constexpr int kSignedDotBias = 0;

// --- F32x16 ---

OCTAVO_INLINE F32x16 broadcast(float value) {
  F32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = value;
  return out;
}
OCTAVO_INLINE F32x16 zero() {
  return broadcast(0.0f);
}
OCTAVO_INLINE F32x16 load(const float* from) {
  F32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = from[i];
  return out;
}
OCTAVO_INLINE void store(float* to, F32x16 a) {
  for (int i = 0; i < 16; ++i) to[i] = a.v[i];
}
OCTAVO_INLINE F32x16 load_partial(const float* from, int n) {
  F32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = i < n ? from[i] : 0.0f;
  return out;
}
OCTAVO_INLINE void store_partial(float* to, F32x16 a, int n) {
  for (int i = 0; i < n; ++i) to[i] = a.v[i];
}
OCTAVO_INLINE F32x16 select_first(int n, F32x16 first, F32x16 rest) {
  F32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = i < n ? first.v[i] : rest.v[i];
  return out;
}
OCTAVO_INLINE F32x16 select_less(F32x16 a, F32x16 b, F32x16 yes, F32x16 no) {
  F32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = a.v[i] < b.v[i] ? yes.v[i] : no.v[i];
  return out;
}

OCTAVO_INLINE F32x16 add(F32x16 a, F32x16 b) {
  F32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = a.v[i] + b.v[i];
  return out;
}
OCTAVO_INLINE F32x16 sub(F32x16 a, F32x16 b) {
  F32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = a.v[i] - b.v[i];
  return out;
}
OCTAVO_INLINE F32x16 mul(F32x16 a, F32x16 b) {
  F32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = a.v[i] * b.v[i];
  return out;
}
OCTAVO_INLINE F32x16 div(F32x16 a, F32x16 b) {
  F32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = a.v[i] / b.v[i];
  return out;
}
OCTAVO_INLINE F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  F32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = __builtin_fmaf(a.v[i], b.v[i], c.v[i]);
  return out;
}
OCTAVO_INLINE float greater(float a, float b) {
  return a > b ? a : b;
}
OCTAVO_INLINE F32x16 max(F32x16 a, F32x16 b) {
  F32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = greater(a.v[i], b.v[i]);
  return out;
}
OCTAVO_INLINE F32x16 min(F32x16 a, F32x16 b) {
  F32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = a.v[i] < b.v[i] ? a.v[i] : b.v[i];
  return out;
}
OCTAVO_INLINE F32x16 abs(F32x16 a) {
  F32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = __builtin_fabsf(a.v[i]);
  return out;
}
OCTAVO_INLINE F32x16 round(F32x16 a) {
  F32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = __builtin_rintf(a.v[i]);
  return out;
}
// Two factors, because 2^n itself may lie outside the normal range. The first product is exact.
OCTAVO_INLINE float scale_one_by_power(float a, int n) {
  const int first = n >> 1;
  const int second = n - first;
  return a * std::bit_cast<float>((first + 127) << 23) * std::bit_cast<float>((second + 127) << 23);
}
OCTAVO_INLINE F32x16 scale_by_power(F32x16 a, F32x16 n) {
  F32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = scale_one_by_power(a.v[i], static_cast<int>(n.v[i]));
  return out;
}

OCTAVO_INLINE F32x16 look_up(F32x16 table, I32x16 index) {
  F32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = table.v[index.v[i]];
  return out;
}

OCTAVO_INLINE float reduce_add(F32x16 a) {
  for (int width = 8; width >= 1; width /= 2) {
    for (int i = 0; i < width; ++i) a.v[i] += a.v[i + width];
  }
  return a.v[0];
}
OCTAVO_INLINE float reduce_max(F32x16 a) {
  for (int width = 8; width >= 1; width /= 2) {
    for (int i = 0; i < width; ++i) a.v[i] = greater(a.v[i], a.v[i + width]);
  }
  return a.v[0];
}

// --- 16-bit floats ---

OCTAVO_INLINE F32x16 load_f16(const uint16_t* from) {
  F32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = float_from_f16(from[i]);
  return out;
}
OCTAVO_INLINE void store_f16(uint16_t* to, F32x16 a) {
  for (int i = 0; i < 16; ++i) to[i] = f16_from_float(a.v[i]);
}
OCTAVO_INLINE F32x16 load_bf16(const uint16_t* from) {
  F32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = float_from_bf16(from[i]);
  return out;
}

// --- I32x16 ---

// Sums and products wrap, which only unsigned numbers may.
OCTAVO_INLINE uint32_t wrapping(int32_t a) {
  return static_cast<uint32_t>(a);
}

OCTAVO_INLINE I32x16 broadcast_i32(int32_t value) {
  I32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = value;
  return out;
}
OCTAVO_INLINE I32x16 load_u8(const uint8_t* from) {
  I32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = from[i];
  return out;
}
OCTAVO_INLINE I32x16 load_i8(const int8_t* from) {
  I32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = from[i];  // NOLINT(bugprone-signed-char-misuse): a number
  return out;
}
OCTAVO_INLINE I32x16 load_i16(const int16_t* from) {
  I32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = from[i];
  return out;
}
OCTAVO_INLINE void store(int32_t* to, I32x16 a) {
  for (int i = 0; i < 16; ++i) to[i] = a.v[i];
}
OCTAVO_INLINE void store_i8(int8_t* to, I32x16 a) {
  for (int i = 0; i < 16; ++i) to[i] = static_cast<int8_t>(a.v[i]);
}
OCTAVO_INLINE I32x16 add(I32x16 a, I32x16 b) {
  I32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = static_cast<int32_t>(wrapping(a.v[i]) + wrapping(b.v[i]));
  return out;
}
OCTAVO_INLINE I32x16 sub(I32x16 a, I32x16 b) {
  I32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = static_cast<int32_t>(wrapping(a.v[i]) - wrapping(b.v[i]));
  return out;
}
OCTAVO_INLINE I32x16 mul(I32x16 a, I32x16 b) {
  I32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = static_cast<int32_t>(wrapping(a.v[i]) * wrapping(b.v[i]));
  return out;
}
OCTAVO_INLINE I32x16 bit_and(I32x16 a, I32x16 b) {
  I32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = a.v[i] & b.v[i];
  return out;
}
template <int n>
OCTAVO_INLINE I32x16 shift_left(I32x16 a) {
  I32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = a.v[i] << n;
  return out;
}
template <int n>
OCTAVO_INLINE I32x16 shift_right(I32x16 a) {
  I32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = a.v[i] >> n;
  return out;
}
OCTAVO_INLINE F32x16 to_f32(I32x16 a) {
  F32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = static_cast<float>(a.v[i]);
  return out;
}
OCTAVO_INLINE I32x16 to_i32(F32x16 a) {
  I32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = static_cast<int32_t>(__builtin_rintf(a.v[i]));
  return out;
}
OCTAVO_INLINE F32x16 bits_to_f32(I32x16 a) {
  F32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = std::bit_cast<float>(a.v[i]);
  return out;
}
OCTAVO_INLINE int32_t reduce_add(I32x16 a) {
  int32_t sum = 0;
  for (int i = 0; i < 16; ++i) sum += a.v[i];
  return sum;
}

// --- U8x64 ---

OCTAVO_INLINE U8x64 load_bytes(const void* from) {
  U8x64 out;
  std::memcpy(out.v, from, sizeof(out.v));
  return out;
}
OCTAVO_INLINE U8x64 broadcast_byte(uint8_t value) {
  U8x64 out;
  for (int i = 0; i < 64; ++i) out.v[i] = value;
  return out;
}
OCTAVO_INLINE U8x64 broadcast_four(const int8_t* from) {
  U8x64 out;
  for (int i = 0; i < 64; ++i) out.v[i] = static_cast<uint8_t>(from[i % 4]);
  return out;
}
OCTAVO_INLINE U8x64 load_table(const void* sixteen_bytes) {
  U8x64 out;
  for (int i = 0; i < 4; ++i) std::memcpy(out.v + 16 * i, sixteen_bytes, 16);
  return out;
}
OCTAVO_INLINE U8x64 bit_and(U8x64 a, U8x64 b) {
  U8x64 out;
  for (int i = 0; i < 64; ++i) out.v[i] = a.v[i] & b.v[i];
  return out;
}
OCTAVO_INLINE U8x64 bit_or(U8x64 a, U8x64 b) {
  U8x64 out;
  for (int i = 0; i < 64; ++i) out.v[i] = a.v[i] | b.v[i];
  return out;
}
template <int n>
OCTAVO_INLINE U8x64 shift_right_and(U8x64 a, U8x64 mask) {
  U8x64 out;
  for (int i = 0; i < 64; ++i) out.v[i] = static_cast<uint8_t>(a.v[i] >> n & mask.v[i]);
  return out;
}
template <int n>
OCTAVO_INLINE U8x64 shift_left_and(U8x64 a, U8x64 mask) {
  U8x64 out;
  for (int i = 0; i < 64; ++i) out.v[i] = static_cast<uint8_t>(a.v[i] << n & mask.v[i]);
  return out;
}
OCTAVO_INLINE U8x64 look_up(U8x64 table, U8x64 index) {
  U8x64 out;
  for (int i = 0; i < 64; ++i) out.v[i] = table.v[index.v[i]];
  return out;
}
OCTAVO_INLINE U8x64 prepare_signed(U8x64 a) {
  return a;
}
OCTAVO_INLINE I32x16 dot_signed(I32x16 sum, U8x64 prepared, U8x64 four) {
  for (int i = 0; i < 64; ++i) {
    sum.v[i / 4] += static_cast<int8_t>(prepared.v[i]) * static_cast<int8_t>(four.v[i]);
  }
  return sum;
}
// Seven-bit weights are the same number signed and unsigned.
OCTAVO_INLINE I32x16 dot_u7(I32x16 sum, U8x64 weights, U8x64 four) {
  return dot_signed(sum, weights, four);
}

}  // namespace octavo::cpu::OCTAVO_ISA
