// The vector layer for AVX-512 (F, BW, VL, DQ and VNNI): 16 lanes are one zmm register.
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
#define OCTAVO_ISA avx512
#define OCTAVO_INLINE inline __attribute__((always_inline))

namespace octavo::cpu::OCTAVO_ISA {

struct F32x16 {
  __m512 v;
};
struct I32x16 {
  __m512i v;
};
struct U8x64 {
  __m512i v;
};

inline constexpr int kRowTile = 8;
inline constexpr int kSignedDotBias = 128;

// The mask of the first n lanes, n in [0, 16].
OCTAVO_INLINE __mmask16 first_lanes_mask(int n) {
  return static_cast<__mmask16>((1u << n) - 1);
}

// --- F32x16 ---

OCTAVO_INLINE F32x16 zero() {
  return {_mm512_setzero_ps()};
}
OCTAVO_INLINE F32x16 broadcast(float value) {
  return {_mm512_set1_ps(value)};
}
OCTAVO_INLINE F32x16 load(const float* from) {
  return {_mm512_loadu_ps(from)};
}
OCTAVO_INLINE void store(float* to, F32x16 a) {
  _mm512_storeu_ps(to, a.v);
}
OCTAVO_INLINE F32x16 load_partial(const float* from, int n) {
  return {_mm512_maskz_loadu_ps(first_lanes_mask(n), from)};
}
OCTAVO_INLINE void store_partial(float* to, F32x16 a, int n) {
  _mm512_mask_storeu_ps(to, first_lanes_mask(n), a.v);
}
OCTAVO_INLINE F32x16 select_first(int n, F32x16 first, F32x16 rest) {
  return {_mm512_mask_blend_ps(first_lanes_mask(n), rest.v, first.v)};
}
OCTAVO_INLINE F32x16 select_less(F32x16 a, F32x16 b, F32x16 yes, F32x16 no) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), no.v, yes.v)};
}

OCTAVO_INLINE F32x16 add(F32x16 a, F32x16 b) {
  return {_mm512_add_ps(a.v, b.v)};
}
OCTAVO_INLINE F32x16 sub(F32x16 a, F32x16 b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
OCTAVO_INLINE F32x16 mul(F32x16 a, F32x16 b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
OCTAVO_INLINE F32x16 div(F32x16 a, F32x16 b) {
  return {_mm512_div_ps(a.v, b.v)};
}
OCTAVO_INLINE F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
OCTAVO_INLINE F32x16 max(F32x16 a, F32x16 b) {
  return {_mm512_max_ps(a.v, b.v)};
}
OCTAVO_INLINE F32x16 min(F32x16 a, F32x16 b) {
  return {_mm512_min_ps(a.v, b.v)};
}
OCTAVO_INLINE F32x16 abs(F32x16 a) {
  return {_mm512_abs_ps(a.v)};
}
OCTAVO_INLINE F32x16 round(F32x16 a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
OCTAVO_INLINE F32x16 scale_by_power(F32x16 a, F32x16 n) {
  return {_mm512_scalef_ps(a.v, n.v)};
}

OCTAVO_INLINE F32x16 look_up(F32x16 table, I32x16 index) {
  return {_mm512_permutexvar_ps(index.v, table.v)};
}

OCTAVO_INLINE float reduce_add(F32x16 a) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
OCTAVO_INLINE float reduce_max(F32x16 a) {
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

// --- 16-bit floats ---

OCTAVO_INLINE F32x16 load_f16(const uint16_t* from) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)))};
}
OCTAVO_INLINE void store_f16(uint16_t* to, F32x16 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                      _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
OCTAVO_INLINE F32x16 load_bf16(const uint16_t* from) {
  const __m512i wide =
      _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}

// --- I32x16 ---

OCTAVO_INLINE I32x16 broadcast_i32(int32_t value) {
  return {_mm512_set1_epi32(value)};
}
OCTAVO_INLINE I32x16 load_u8(const uint8_t* from) {
  return {_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)))};
}
OCTAVO_INLINE I32x16 load_i8(const int8_t* from) {
  return {_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)))};
}
OCTAVO_INLINE I32x16 load_i16(const int16_t* from) {
  return {_mm512_cvtepi16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)))};
}
OCTAVO_INLINE void store(int32_t* to, I32x16 a) {
  _mm512_storeu_si512(to, a.v);
}
OCTAVO_INLINE void store_i8(int8_t* to, I32x16 a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(a.v));
}
OCTAVO_INLINE I32x16 add(I32x16 a, I32x16 b) {
  return {_mm512_add_epi32(a.v, b.v)};
}
OCTAVO_INLINE I32x16 sub(I32x16 a, I32x16 b) {
  return {_mm512_sub_epi32(a.v, b.v)};
}
OCTAVO_INLINE I32x16 mul(I32x16 a, I32x16 b) {
  return {_mm512_mullo_epi32(a.v, b.v)};
}
OCTAVO_INLINE I32x16 bit_and(I32x16 a, I32x16 b) {
  return {_mm512_and_si512(a.v, b.v)};
}
template <int n>
OCTAVO_INLINE I32x16 shift_left(I32x16 a) {
  return {_mm512_slli_epi32(a.v, n)};
}
template <int n>
OCTAVO_INLINE I32x16 shift_right(I32x16 a) {
  return {_mm512_srai_epi32(a.v, n)};
}
OCTAVO_INLINE F32x16 to_f32(I32x16 a) {
  return {_mm512_cvtepi32_ps(a.v)};
}
OCTAVO_INLINE I32x16 to_i32(F32x16 a) {
  return {_mm512_cvtps_epi32(a.v)};
}
OCTAVO_INLINE F32x16 bits_to_f32(I32x16 a) {
  return {_mm512_castsi512_ps(a.v)};
}
OCTAVO_INLINE int32_t reduce_add(I32x16 a) {
  return _mm512_reduce_add_epi32(a.v);
}

// --- U8x64 ---

OCTAVO_INLINE U8x64 load_bytes(const void* from) {
  return {_mm512_loadu_si512(from)};
}
OCTAVO_INLINE U8x64 broadcast_byte(uint8_t value) {
  return {_mm512_set1_epi8(static_cast<char>(value))};
}
OCTAVO_INLINE U8x64 broadcast_four(const int8_t* from) {
  int32_t four;
  std::memcpy(&four, from, sizeof(four));
  return {_mm512_set1_epi32(four)};
}
OCTAVO_INLINE U8x64 load_table(const void* sixteen_bytes) {
  return {_mm512_broadcast_i32x4(_mm_loadu_si128(static_cast<const __m128i*>(sixteen_bytes)))};
}
OCTAVO_INLINE U8x64 bit_and(U8x64 a, U8x64 b) {
  return {_mm512_and_si512(a.v, b.v)};
}
OCTAVO_INLINE U8x64 bit_or(U8x64 a, U8x64 b) {
  return {_mm512_or_si512(a.v, b.v)};
}
template <int n>
OCTAVO_INLINE U8x64 shift_right_and(U8x64 a, U8x64 mask) {
  return {_mm512_and_si512(_mm512_srli_epi16(a.v, n), mask.v)};
}
template <int n>
OCTAVO_INLINE U8x64 shift_left_and(U8x64 a, U8x64 mask) {
  return {_mm512_and_si512(_mm512_slli_epi16(a.v, n), mask.v)};
}
OCTAVO_INLINE U8x64 look_up(U8x64 table, U8x64 index) {
  return {_mm512_shuffle_epi8(table.v, index.v)};
}
OCTAVO_INLINE U8x64 prepare_signed(U8x64 a) {
  return {_mm512_xor_si512(a.v, _mm512_set1_epi8(static_cast<char>(0x80)))};
}
OCTAVO_INLINE I32x16 dot_u7(I32x16 sum, U8x64 weights, U8x64 four) {
  return {_mm512_dpbusd_epi32(sum.v, weights.v, four.v)};
}
OCTAVO_INLINE I32x16 dot_signed(I32x16 sum, U8x64 prepared, U8x64 four) {
  return {_mm512_dpbusd_epi32(sum.v, prepared.v, four.v)};
}

}  // namespace octavo::cpu::OCTAVO_ISA
