// The vector layer for 64-bit Arm (Armv8.2 with dot products): 16 lanes are four q registers.
//
// simd.h documents the operations; this file only says how they are done here. To be included by
// one translation unit that is compiled for this instruction set.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

#ifdef OCTAVO_ISA
#error "a translation unit has one instruction set"
#endif
#define OCTAVO_ISA neon
#define OCTAVO_INLINE inline __attribute__((always_inline))

namespace octavo::cpu::OCTAVO_ISA {

struct F32x16 {
  float32x4_t v[4];
};
struct I32x16 {
  int32x4_t v[4];
};
struct U8x64 {
  uint8x16_t v[4];
};

inline constexpr int kRowTile = 4;
inline constexpr int kSignedDotBias = 0;

// All ones in lane i of quarter q when 4 * q + i < n.
OCTAVO_INLINE uint32x4_t first_lanes_mask(int n, int q) {
  const int32_t lanes[4] = {0, 1, 2, 3};
  return vcltq_s32(vld1q_s32(lanes), vdupq_n_s32(n - 4 * q));
}

// --- F32x16 ---

OCTAVO_INLINE F32x16 broadcast(float value) {
  const float32x4_t all = vdupq_n_f32(value);
  return {{all, all, all, all}};
}
OCTAVO_INLINE F32x16 zero() {
  return broadcast(0.0f);
}
OCTAVO_INLINE F32x16 load(const float* from) {
  return {{vld1q_f32(from), vld1q_f32(from + 4), vld1q_f32(from + 8), vld1q_f32(from + 12)}};
}
OCTAVO_INLINE void store(float* to, F32x16 a) {
  for (int q = 0; q < 4; ++q) vst1q_f32(to + 4 * q, a.v[q]);
}
OCTAVO_INLINE F32x16 load_partial(const float* from, int n) {
  float lanes[16] = {};
  std::memcpy(lanes, from, static_cast<size_t>(n) * sizeof(float));
  return load(lanes);
}
OCTAVO_INLINE void store_partial(float* to, F32x16 a, int n) {
  float lanes[16];
  store(lanes, a);
  std::memcpy(to, lanes, static_cast<size_t>(n) * sizeof(float));
}
OCTAVO_INLINE F32x16 select_first(int n, F32x16 first, F32x16 rest) {
  F32x16 out;
  for (int q = 0; q < 4; ++q) out.v[q] = vbslq_f32(first_lanes_mask(n, q), first.v[q], rest.v[q]);
  return out;
}
OCTAVO_INLINE F32x16 select_less(F32x16 a, F32x16 b, F32x16 yes, F32x16 no) {
  F32x16 out;
  for (int q = 0; q < 4; ++q) out.v[q] = vbslq_f32(vcltq_f32(a.v[q], b.v[q]), yes.v[q], no.v[q]);
  return out;
}

OCTAVO_INLINE F32x16 add(F32x16 a, F32x16 b) {
  F32x16 out;
  for (int q = 0; q < 4; ++q) out.v[q] = vaddq_f32(a.v[q], b.v[q]);
  return out;
}
OCTAVO_INLINE F32x16 sub(F32x16 a, F32x16 b) {
  F32x16 out;
  for (int q = 0; q < 4; ++q) out.v[q] = vsubq_f32(a.v[q], b.v[q]);
  return out;
}
OCTAVO_INLINE F32x16 mul(F32x16 a, F32x16 b) {
  F32x16 out;
  for (int q = 0; q < 4; ++q) out.v[q] = vmulq_f32(a.v[q], b.v[q]);
  return out;
}
OCTAVO_INLINE F32x16 div(F32x16 a, F32x16 b) {
  F32x16 out;
  for (int q = 0; q < 4; ++q) out.v[q] = vdivq_f32(a.v[q], b.v[q]);
  return out;
}
OCTAVO_INLINE F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  F32x16 out;
  for (int q = 0; q < 4; ++q) out.v[q] = vfmaq_f32(c.v[q], a.v[q], b.v[q]);
  return out;
}
// Not vmaxq and vminq, which treat NaN and signed zeros differently from x86.
OCTAVO_INLINE F32x16 max(F32x16 a, F32x16 b) {
  F32x16 out;
  for (int q = 0; q < 4; ++q) out.v[q] = vbslq_f32(vcgtq_f32(a.v[q], b.v[q]), a.v[q], b.v[q]);
  return out;
}
OCTAVO_INLINE F32x16 min(F32x16 a, F32x16 b) {
  F32x16 out;
  for (int q = 0; q < 4; ++q) out.v[q] = vbslq_f32(vcltq_f32(a.v[q], b.v[q]), a.v[q], b.v[q]);
  return out;
}
OCTAVO_INLINE F32x16 abs(F32x16 a) {
  F32x16 out;
  for (int q = 0; q < 4; ++q) out.v[q] = vabsq_f32(a.v[q]);
  return out;
}
OCTAVO_INLINE F32x16 round(F32x16 a) {
  F32x16 out;
  for (int q = 0; q < 4; ++q) out.v[q] = vrndnq_f32(a.v[q]);
  return out;
}
// Two factors, because 2^n itself may lie outside the normal range. The first product is exact.
OCTAVO_INLINE float32x4_t scale_quarter_by_power(float32x4_t a, float32x4_t n) {
  const int32x4_t power = vcvtnq_s32_f32(n);
  const int32x4_t first = vshrq_n_s32(power, 1);
  const int32x4_t second = vsubq_s32(power, first);
  const int32x4_t bias = vdupq_n_s32(127);
  const int32x4_t first_bits = vshlq_n_s32(vaddq_s32(first, bias), 23);
  const int32x4_t second_bits = vshlq_n_s32(vaddq_s32(second, bias), 23);
  return vmulq_f32(vmulq_f32(a, vreinterpretq_f32_s32(first_bits)),
                   vreinterpretq_f32_s32(second_bits));
}
OCTAVO_INLINE F32x16 scale_by_power(F32x16 a, F32x16 n) {
  F32x16 out;
  for (int q = 0; q < 4; ++q) out.v[q] = scale_quarter_by_power(a.v[q], n.v[q]);
  return out;
}

// By bytes: number i of the table is its bytes 4 * i to 4 * i + 3.
OCTAVO_INLINE F32x16 look_up(F32x16 table, I32x16 index) {
  const uint8x16x4_t bytes = {{vreinterpretq_u8_f32(table.v[0]), vreinterpretq_u8_f32(table.v[1]),
                               vreinterpretq_u8_f32(table.v[2]), vreinterpretq_u8_f32(table.v[3])}};
  F32x16 out;
  for (int q = 0; q < 4; ++q) {
    const uint32x4_t first = vmulq_n_u32(vreinterpretq_u32_s32(index.v[q]), 0x04040404u);
    const uint32x4_t all = vaddq_u32(first, vdupq_n_u32(0x03020100u));
    out.v[q] = vreinterpretq_f32_u8(vqtbl4q_u8(bytes, vreinterpretq_u8_u32(all)));
  }
  return out;
}

OCTAVO_INLINE float reduce_add(F32x16 a) {
  const float32x4_t four = vaddq_f32(vaddq_f32(a.v[0], a.v[2]), vaddq_f32(a.v[1], a.v[3]));
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
OCTAVO_INLINE float greater(float a, float b) {
  return a > b ? a : b;
}
OCTAVO_INLINE float reduce_max(F32x16 a) {
  float lanes[16];
  store(lanes, a);
  for (int width = 8; width >= 1; width /= 2) {
    for (int i = 0; i < width; ++i) lanes[i] = greater(lanes[i], lanes[i + width]);
  }
  return lanes[0];
}

// --- 16-bit floats ---

OCTAVO_INLINE F32x16 load_f16(const uint16_t* from) {
  F32x16 out;
  for (int q = 0; q < 4; ++q) out.v[q] = vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from + 4 * q)));
  return out;
}
OCTAVO_INLINE void store_f16(uint16_t* to, F32x16 a) {
  for (int q = 0; q < 4; ++q) vst1_u16(to + 4 * q, vreinterpret_u16_f16(vcvt_f16_f32(a.v[q])));
}
OCTAVO_INLINE F32x16 load_bf16(const uint16_t* from) {
  F32x16 out;
  for (int q = 0; q < 4; ++q)
    out.v[q] = vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(from + 4 * q), 16));
  return out;
}

// --- I32x16 ---

OCTAVO_INLINE I32x16 broadcast_i32(int32_t value) {
  const int32x4_t all = vdupq_n_s32(value);
  return {{all, all, all, all}};
}
OCTAVO_INLINE I32x16 widen(int16x8_t first, int16x8_t second) {
  return {{vmovl_s16(vget_low_s16(first)), vmovl_s16(vget_high_s16(first)),
           vmovl_s16(vget_low_s16(second)), vmovl_s16(vget_high_s16(second))}};
}
OCTAVO_INLINE I32x16 load_u8(const uint8_t* from) {
  return widen(vreinterpretq_s16_u16(vmovl_u8(vld1_u8(from))),
               vreinterpretq_s16_u16(vmovl_u8(vld1_u8(from + 8))));
}
OCTAVO_INLINE I32x16 load_i8(const int8_t* from) {
  return widen(vmovl_s8(vld1_s8(from)), vmovl_s8(vld1_s8(from + 8)));
}
OCTAVO_INLINE I32x16 load_i16(const int16_t* from) {
  return widen(vld1q_s16(from), vld1q_s16(from + 8));
}
OCTAVO_INLINE void store(int32_t* to, I32x16 a) {
  for (int q = 0; q < 4; ++q) vst1q_s32(to + 4 * q, a.v[q]);
}
OCTAVO_INLINE void store_i8(int8_t* to, I32x16 a) {
  vst1_s8(to, vmovn_s16(vcombine_s16(vmovn_s32(a.v[0]), vmovn_s32(a.v[1]))));
  vst1_s8(to + 8, vmovn_s16(vcombine_s16(vmovn_s32(a.v[2]), vmovn_s32(a.v[3]))));
}
OCTAVO_INLINE I32x16 add(I32x16 a, I32x16 b) {
  I32x16 out;
  for (int q = 0; q < 4; ++q) out.v[q] = vaddq_s32(a.v[q], b.v[q]);
  return out;
}
OCTAVO_INLINE I32x16 sub(I32x16 a, I32x16 b) {
  I32x16 out;
  for (int q = 0; q < 4; ++q) out.v[q] = vsubq_s32(a.v[q], b.v[q]);
  return out;
}
OCTAVO_INLINE I32x16 mul(I32x16 a, I32x16 b) {
  I32x16 out;
  for (int q = 0; q < 4; ++q) out.v[q] = vmulq_s32(a.v[q], b.v[q]);
  return out;
}
OCTAVO_INLINE I32x16 bit_and(I32x16 a, I32x16 b) {
  I32x16 out;
  for (int q = 0; q < 4; ++q) out.v[q] = vandq_s32(a.v[q], b.v[q]);
  return out;
}
template <int n>
OCTAVO_INLINE I32x16 shift_left(I32x16 a) {
  I32x16 out;
  for (int q = 0; q < 4; ++q) out.v[q] = vshlq_n_s32(a.v[q], n);
  return out;
}
template <int n>
OCTAVO_INLINE I32x16 shift_right(I32x16 a) {
  I32x16 out;
  for (int q = 0; q < 4; ++q) out.v[q] = vshrq_n_s32(a.v[q], n);
  return out;
}
OCTAVO_INLINE F32x16 to_f32(I32x16 a) {
  F32x16 out;
  for (int q = 0; q < 4; ++q) out.v[q] = vcvtq_f32_s32(a.v[q]);
  return out;
}
OCTAVO_INLINE I32x16 to_i32(F32x16 a) {
  I32x16 out;
  for (int q = 0; q < 4; ++q) out.v[q] = vcvtnq_s32_f32(a.v[q]);
  return out;
}
OCTAVO_INLINE F32x16 bits_to_f32(I32x16 a) {
  F32x16 out;
  for (int q = 0; q < 4; ++q) out.v[q] = vreinterpretq_f32_s32(a.v[q]);
  return out;
}
OCTAVO_INLINE int32_t reduce_add(I32x16 a) {
  return vaddvq_s32(vaddq_s32(vaddq_s32(a.v[0], a.v[2]), vaddq_s32(a.v[1], a.v[3])));
}

// --- U8x64 ---

OCTAVO_INLINE U8x64 load_bytes(const void* from) {
  const auto* in = static_cast<const uint8_t*>(from);
  return {{vld1q_u8(in), vld1q_u8(in + 16), vld1q_u8(in + 32), vld1q_u8(in + 48)}};
}
OCTAVO_INLINE U8x64 repeat(uint8x16_t all) {
  return {{all, all, all, all}};
}
OCTAVO_INLINE U8x64 broadcast_byte(uint8_t value) {
  return repeat(vdupq_n_u8(value));
}
OCTAVO_INLINE U8x64 broadcast_four(const int8_t* from) {
  int32_t four;
  std::memcpy(&four, from, sizeof(four));
  return repeat(vreinterpretq_u8_s32(vdupq_n_s32(four)));
}
OCTAVO_INLINE U8x64 load_table(const void* sixteen_bytes) {
  return repeat(vld1q_u8(static_cast<const uint8_t*>(sixteen_bytes)));
}
OCTAVO_INLINE U8x64 bit_and(U8x64 a, U8x64 b) {
  U8x64 out;
  for (int q = 0; q < 4; ++q) out.v[q] = vandq_u8(a.v[q], b.v[q]);
  return out;
}
OCTAVO_INLINE U8x64 bit_or(U8x64 a, U8x64 b) {
  U8x64 out;
  for (int q = 0; q < 4; ++q) out.v[q] = vorrq_u8(a.v[q], b.v[q]);
  return out;
}
template <int n>
OCTAVO_INLINE U8x64 shift_right_and(U8x64 a, U8x64 mask) {
  U8x64 out;
  for (int q = 0; q < 4; ++q) out.v[q] = vandq_u8(vshrq_n_u8(a.v[q], n), mask.v[q]);
  return out;
}
template <int n>
OCTAVO_INLINE U8x64 shift_left_and(U8x64 a, U8x64 mask) {
  U8x64 out;
  for (int q = 0; q < 4; ++q) out.v[q] = vandq_u8(vshlq_n_u8(a.v[q], n), mask.v[q]);
  return out;
}
OCTAVO_INLINE U8x64 look_up(U8x64 table, U8x64 index) {
  U8x64 out;
  for (int q = 0; q < 4; ++q) out.v[q] = vqtbl1q_u8(table.v[q], index.v[q]);
  return out;
}
OCTAVO_INLINE U8x64 prepare_signed(U8x64 a) {
  return a;
}
OCTAVO_INLINE I32x16 dot_signed(I32x16 sum, U8x64 prepared, U8x64 four) {
  I32x16 out;
  for (int q = 0; q < 4; ++q)
    out.v[q] =
        vdotq_s32(sum.v[q], vreinterpretq_s8_u8(prepared.v[q]), vreinterpretq_s8_u8(four.v[q]));
  return out;
}
// Seven-bit weights are the same number signed and unsigned.
OCTAVO_INLINE I32x16 dot_u7(I32x16 sum, U8x64 weights, U8x64 four) {
  return dot_signed(sum, weights, four);
}

}  // namespace octavo::cpu::OCTAVO_ISA
