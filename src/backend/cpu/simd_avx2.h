// The vector layer for AVX2 with FMA and F16C: 16 lanes are two ymm registers.
//
// simd.h documents the operations; this file only says how they are done here. To be included by
// one translation unit that is compiled for this instruction set.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#ifdef OCTAVO_ISA
#error "a translation unit has one instruction set"
#endif
#define OCTAVO_ISA avx2
#define OCTAVO_INLINE inline __attribute__((always_inline))

namespace octavo::cpu::OCTAVO_ISA {

struct F32x16 {
  __m256 lo, hi;
};
struct I32x16 {
  __m256i lo, hi;
};
struct U8x64 {
  __m256i lo, hi;
};

inline constexpr int kRowTile = 4;
inline constexpr int kSignedDotBias = 0;

// All ones in lane i of eight when first + i < n.
OCTAVO_INLINE __m256i first_lanes_mask(int n, int first) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n - first), lane);
}

// --- F32x16 ---

OCTAVO_INLINE F32x16 zero() {
  return {_mm256_setzero_ps(), _mm256_setzero_ps()};
}
OCTAVO_INLINE F32x16 broadcast(float value) {
  return {_mm256_set1_ps(value), _mm256_set1_ps(value)};
}
OCTAVO_INLINE F32x16 load(const float* from) {
  return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
}
OCTAVO_INLINE void store(float* to, F32x16 a) {
  _mm256_storeu_ps(to, a.lo);
  _mm256_storeu_ps(to + 8, a.hi);
}
// Masked loads and stores touch no byte of the lanes that are masked out.
OCTAVO_INLINE F32x16 load_partial(const float* from, int n) {
  return {_mm256_maskload_ps(from, first_lanes_mask(n, 0)),
          _mm256_maskload_ps(from + 8, first_lanes_mask(n, 8))};
}
OCTAVO_INLINE void store_partial(float* to, F32x16 a, int n) {
  _mm256_maskstore_ps(to, first_lanes_mask(n, 0), a.lo);
  _mm256_maskstore_ps(to + 8, first_lanes_mask(n, 8), a.hi);
}
OCTAVO_INLINE F32x16 select_first(int n, F32x16 first, F32x16 rest) {
  return {_mm256_blendv_ps(rest.lo, first.lo, _mm256_castsi256_ps(first_lanes_mask(n, 0))),
          _mm256_blendv_ps(rest.hi, first.hi, _mm256_castsi256_ps(first_lanes_mask(n, 8)))};
}
OCTAVO_INLINE F32x16 select_less(F32x16 a, F32x16 b, F32x16 yes, F32x16 no) {
  return {_mm256_blendv_ps(no.lo, yes.lo, _mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ)),
          _mm256_blendv_ps(no.hi, yes.hi, _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ))};
}

OCTAVO_INLINE F32x16 add(F32x16 a, F32x16 b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
OCTAVO_INLINE F32x16 sub(F32x16 a, F32x16 b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
OCTAVO_INLINE F32x16 mul(F32x16 a, F32x16 b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
OCTAVO_INLINE F32x16 div(F32x16 a, F32x16 b) {
  return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
OCTAVO_INLINE F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
OCTAVO_INLINE F32x16 max(F32x16 a, F32x16 b) {
  return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}
OCTAVO_INLINE F32x16 min(F32x16 a, F32x16 b) {
  return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)};
}
OCTAVO_INLINE F32x16 abs(F32x16 a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}
OCTAVO_INLINE F32x16 round(F32x16 a) {
  return {_mm256_round_ps(a.lo, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
          _mm256_round_ps(a.hi, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// Two factors, because 2^n itself may lie outside the normal range. The first product is exact.
OCTAVO_INLINE __m256 scale_half_by_power(__m256 a, __m256 n) {
  const __m256i power = _mm256_cvtps_epi32(n);
  const __m256i first = _mm256_srai_epi32(power, 1);
  const __m256i second = _mm256_sub_epi32(power, first);
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256i first_bits = _mm256_slli_epi32(_mm256_add_epi32(first, bias), 23);
  const __m256i second_bits = _mm256_slli_epi32(_mm256_add_epi32(second, bias), 23);
  return _mm256_mul_ps(_mm256_mul_ps(a, _mm256_castsi256_ps(first_bits)),
                       _mm256_castsi256_ps(second_bits));
}
OCTAVO_INLINE F32x16 scale_by_power(F32x16 a, F32x16 n) {
  return {scale_half_by_power(a.lo, n.lo), scale_half_by_power(a.hi, n.hi)};
}

// A permutation takes the low three bits of an index; bit 3, moved to the sign, chooses the half.
OCTAVO_INLINE __m256 look_up_half(F32x16 table, __m256i index) {
  return _mm256_blendv_ps(_mm256_permutevar8x32_ps(table.lo, index),
                          _mm256_permutevar8x32_ps(table.hi, index),
                          _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
}
OCTAVO_INLINE F32x16 look_up(F32x16 table, I32x16 index) {
  return {look_up_half(table, index.lo), look_up_half(table, index.hi)};
}

OCTAVO_INLINE float reduce_add(F32x16 a) {
  const __m256 eight = _mm256_add_ps(a.lo, a.hi);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
OCTAVO_INLINE float reduce_max(F32x16 a) {
  const __m256 eight = _mm256_max_ps(a.lo, a.hi);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

// --- 16-bit floats ---

OCTAVO_INLINE F32x16 load_f16(const uint16_t* from) {
  const auto* in = reinterpret_cast<const __m128i*>(from);
  return {_mm256_cvtph_ps(_mm_loadu_si128(in)), _mm256_cvtph_ps(_mm_loadu_si128(in + 1))};
}
OCTAVO_INLINE void store_f16(uint16_t* to, F32x16 a) {
  auto* out = reinterpret_cast<__m128i*>(to);
  _mm_storeu_si128(out, _mm256_cvtps_ph(a.lo, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  _mm_storeu_si128(out + 1, _mm256_cvtps_ph(a.hi, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
OCTAVO_INLINE F32x16 load_bf16(const uint16_t* from) {
  const auto* in = reinterpret_cast<const __m128i*>(from);
  const __m256i lo = _mm256_cvtepu16_epi32(_mm_loadu_si128(in));
  const __m256i hi = _mm256_cvtepu16_epi32(_mm_loadu_si128(in + 1));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(lo, 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(hi, 16))};
}

// --- I32x16 ---

OCTAVO_INLINE I32x16 broadcast_i32(int32_t value) {
  return {_mm256_set1_epi32(value), _mm256_set1_epi32(value)};
}
OCTAVO_INLINE I32x16 load_u8(const uint8_t* from) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return {_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))};
}
OCTAVO_INLINE I32x16 load_i8(const int8_t* from) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return {_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8))};
}
OCTAVO_INLINE I32x16 load_i16(const int16_t* from) {
  const auto* in = reinterpret_cast<const __m128i*>(from);
  return {_mm256_cvtepi16_epi32(_mm_loadu_si128(in)),
          _mm256_cvtepi16_epi32(_mm_loadu_si128(in + 1))};
}
OCTAVO_INLINE void store(int32_t* to, I32x16 a) {
  auto* out = reinterpret_cast<__m256i*>(to);
  _mm256_storeu_si256(out, a.lo);
  _mm256_storeu_si256(out + 1, a.hi);
}
OCTAVO_INLINE void store_i8(int8_t* to, I32x16 a) {
  // The packs work within 128-bit halves; the permutation puts the quarters back in order.
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a.lo, a.hi), 0xD8);
  _mm_storeu_si128(
      reinterpret_cast<__m128i*>(to),
      _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}
OCTAVO_INLINE I32x16 add(I32x16 a, I32x16 b) {
  return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)};
}
OCTAVO_INLINE I32x16 sub(I32x16 a, I32x16 b) {
  return {_mm256_sub_epi32(a.lo, b.lo), _mm256_sub_epi32(a.hi, b.hi)};
}
OCTAVO_INLINE I32x16 mul(I32x16 a, I32x16 b) {
  return {_mm256_mullo_epi32(a.lo, b.lo), _mm256_mullo_epi32(a.hi, b.hi)};
}
OCTAVO_INLINE I32x16 bit_and(I32x16 a, I32x16 b) {
  return {_mm256_and_si256(a.lo, b.lo), _mm256_and_si256(a.hi, b.hi)};
}
template <int n>
OCTAVO_INLINE I32x16 shift_left(I32x16 a) {
  return {_mm256_slli_epi32(a.lo, n), _mm256_slli_epi32(a.hi, n)};
}
template <int n>
OCTAVO_INLINE I32x16 shift_right(I32x16 a) {
  return {_mm256_srai_epi32(a.lo, n), _mm256_srai_epi32(a.hi, n)};
}
OCTAVO_INLINE F32x16 to_f32(I32x16 a) {
  return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)};
}
OCTAVO_INLINE I32x16 to_i32(F32x16 a) {
  return {_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi)};
}
OCTAVO_INLINE F32x16 bits_to_f32(I32x16 a) {
  return {_mm256_castsi256_ps(a.lo), _mm256_castsi256_ps(a.hi)};
}
OCTAVO_INLINE int32_t reduce_add(I32x16 a) {
  const __m256i eight = _mm256_add_epi32(a.lo, a.hi);
  const __m128i four =
      _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}

// --- U8x64 ---

OCTAVO_INLINE U8x64 load_bytes(const void* from) {
  const auto* in = static_cast<const __m256i*>(from);
  return {_mm256_loadu_si256(in), _mm256_loadu_si256(in + 1)};
}
OCTAVO_INLINE U8x64 broadcast_byte(uint8_t value) {
  const __m256i all = _mm256_set1_epi8(static_cast<char>(value));
  return {all, all};
}
OCTAVO_INLINE U8x64 broadcast_four(const int8_t* from) {
  int32_t four;
  std::memcpy(&four, from, sizeof(four));
  return {_mm256_set1_epi32(four), _mm256_set1_epi32(four)};
}
OCTAVO_INLINE U8x64 load_table(const void* sixteen_bytes) {
  const __m256i table =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(sixteen_bytes)));
  return {table, table};
}
OCTAVO_INLINE U8x64 bit_and(U8x64 a, U8x64 b) {
  return {_mm256_and_si256(a.lo, b.lo), _mm256_and_si256(a.hi, b.hi)};
}
OCTAVO_INLINE U8x64 bit_or(U8x64 a, U8x64 b) {
  return {_mm256_or_si256(a.lo, b.lo), _mm256_or_si256(a.hi, b.hi)};
}
template <int n>
OCTAVO_INLINE U8x64 shift_right_and(U8x64 a, U8x64 mask) {
  return {_mm256_and_si256(_mm256_srli_epi16(a.lo, n), mask.lo),
          _mm256_and_si256(_mm256_srli_epi16(a.hi, n), mask.hi)};
}
template <int n>
OCTAVO_INLINE U8x64 shift_left_and(U8x64 a, U8x64 mask) {
  return {_mm256_and_si256(_mm256_slli_epi16(a.lo, n), mask.lo),
          _mm256_and_si256(_mm256_slli_epi16(a.hi, n), mask.hi)};
}
OCTAVO_INLINE U8x64 look_up(U8x64 table, U8x64 index) {
  return {_mm256_shuffle_epi8(table.lo, index.lo), _mm256_shuffle_epi8(table.hi, index.hi)};
}
OCTAVO_INLINE U8x64 prepare_signed(U8x64 a) {
  return a;
}
// Pairs of products are added as int16 with saturation, which cannot happen here: at most
// 2 * 127 * 127 = 32258 for seven-bit weights and 2 * 128 * 127 = 32512 for signed ones.
OCTAVO_INLINE __m256i add_products(__m256i sum, __m256i weights, __m256i four) {
  const __m256i pairs = _mm256_maddubs_epi16(weights, four);
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
OCTAVO_INLINE I32x16 dot_u7(I32x16 sum, U8x64 weights, U8x64 four) {
  return {add_products(sum.lo, weights.lo, four.lo), add_products(sum.hi, weights.hi, four.hi)};
}
// |w| * (x with the sign of w) = w * x, also for w = -128, whose magnitude is an unsigned 128.
OCTAVO_INLINE I32x16 dot_signed(I32x16 sum, U8x64 prepared, U8x64 four) {
  return {
      add_products(sum.lo, _mm256_abs_epi8(prepared.lo), _mm256_sign_epi8(four.lo, prepared.lo)),
      add_products(sum.hi, _mm256_abs_epi8(prepared.hi), _mm256_sign_epi8(four.hi, prepared.hi))};
}

}  // namespace octavo::cpu::OCTAVO_ISA
