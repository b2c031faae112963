// The vector layer of the CPU kernels: one set of types and operations, written once for each
// instruction set, and the mathematics that is written once on top of them.
//
// A translation unit is compiled for one instruction set. It includes simd_scalar.h, simd_avx2.h,
// simd_avx512.h or simd_neon.h first, which defines OCTAVO_ISA and, in the namespace
// octavo::cpu::OCTAVO_ISA, the types and operations listed here; then the kernel headers, which
// include this file and put their templates into the same namespace. Instructions of one set can
// therefore not end up in a function that code for another set calls: kernel headers use nothing
// but this layer, plain structs and <cstdint>/<cstring>, never an inline function or a template of
// another namespace.
//
// Invariant: every operation gives the same bits on every instruction set (16 lanes everywhere,
// fused multiply-add only where it is written, one order for reductions), so every kernel does. The
// exceptions are the sign and payload of a NaN that an operation makes, and results that a comment
// calls unspecified.
//
// Types. F32x16: 16 floats. I32x16: 16 signed 32-bit integers, which wrap. U8x64: 64 bytes, seen as
// 16 lanes of 4 bytes in the order of memory.
//
// F32x16
//   zero(), broadcast(x), load(p), store(p, a)      no alignment is needed anywhere
//   load_partial(p, n), store_partial(p, a, n)      the first n lanes, 0 <= n <= 16; the others are
//                                                   loaded as 0 and their memory is not touched
//   select_first(n, first, rest)                    lanes below n from `first`
//   select_less(a, b, yes, no)                      a < b ? yes : no; NaN compares false
//   add sub mul div, fma(a, b, c) = a * b + c rounded once
//   max(a, b) = a > b ? a : b, min(a, b) = a < b ? a : b     so b when either is NaN
//   abs, round (to nearest, ties to even)
//   scale_by_power(a, n) = a * 2^n rounded once; n integral, |n| <= 250, 2^-2 <= |a| <= 2^2
//   look_up(table, index)                           lane i: table's lane index[i], in [0, 16)
//   reduce_add, reduce_max                          lanes i and i + 8, then 4, 2 and 1 apart
//   load_f16, store_f16 (to nearest even), load_bf16
// I32x16
//   broadcast_i32(x), load_u8, load_i8, load_i16 (16 values, widened), store
//   store_i8(p, a)                                  lanes in [-128, 127]
//   add sub mul bit_and, shift_left<n>, shift_right<n> (arithmetic), reduce_add
//   to_f32(a); to_i32(x) to nearest even, |x| < 2^31; bits_to_f32(a) reinterprets
// U8x64
//   load_bytes(p), broadcast_byte(x), broadcast_four(p) (4 bytes to every lane)
//   bit_and, bit_or
//   shift_right_and<n>(a, mask), shift_left_and<n>(a, mask)   each byte shifted, then masked; the
//                                                   mask must clear the n bits that are shifted in
//   load_table(p) 16 bytes, look_up(table, index)   index below 16
// Dot products: lane += the sum of 4 products of bytes, exact
//   dot_u7(sum, weights, four)                      weights 0..127 times signed bytes -127..127
//   dot_signed(sum, prepare_signed(weights), four)  weights -128..127; the result is too large by
//                                                   kSignedDotBias * (sum of the four), which some
//                                                   instruction sets need and the kernel subtracts
// kRowTile: how many rows of activations a matrix kernel handles at once.
#pragma once

#ifndef OCTAVO_ISA
#error "include the header of an instruction set (simd_scalar.h, simd_avx2.h, ...) first"
#endif

namespace octavo::cpu::OCTAVO_ISA {

// e^x within 2 units in the last place; 0 below the smallest subnormal, infinity above the largest
// float, NaN for NaN.
OCTAVO_INLINE F32x16 exp(F32x16 x) {
  // Beyond these bounds the result is 0 or infinity whatever x is. The operands' order keeps NaN.
  x = min(broadcast(89.0f), max(broadcast(-110.0f), x));
  // x = n * ln 2 + r with |r| <= ln 2 / 2. ln 2 is split in two, so that r is accurate.
  const F32x16 n = round(mul(x, broadcast(0x1.715476p+0f)));
  F32x16 r = fma(n, broadcast(-0x1.62e430p-1f), x);
  r = fma(n, broadcast(0x1.05c610p-29f), r);
  // The Taylor series; the first term left out is r^8 / 8! < 6e-9.
  F32x16 sum = broadcast(1.0f / 5040);
  sum = fma(sum, r, broadcast(1.0f / 720));
  sum = fma(sum, r, broadcast(1.0f / 120));
  sum = fma(sum, r, broadcast(1.0f / 24));
  sum = fma(sum, r, broadcast(1.0f / 6));
  sum = fma(sum, r, broadcast(0.5f));
  sum = fma(sum, r, broadcast(1.0f));
  sum = fma(sum, r, broadcast(1.0f));
  return scale_by_power(sum, n);
}

// 1 / (1 + e^-x).
OCTAVO_INLINE F32x16 sigmoid(F32x16 x) {
  const F32x16 one = broadcast(1.0f);
  return div(one, add(one, exp(sub(zero(), x))));
}

// x * sigmoid(x), the activation function also called swish.
OCTAVO_INLINE F32x16 silu(F32x16 x) {
  return mul(x, sigmoid(x));
}

// tanh(x) with an absolute error of about 1e-7.
OCTAVO_INLINE F32x16 tanh(F32x16 x) {
  const F32x16 two = broadcast(2.0f);
  return sub(broadcast(1.0f), div(two, add(exp(mul(two, x)), broadcast(1.0f))));
}

// The Gaussian error linear unit in its tanh form, x / 2 * (1 + tanh(u)) with
// u = sqrt(2 / pi) * (x + 0.044715 x^3), written as x * sigmoid(2 u).
OCTAVO_INLINE F32x16 gelu_tanh(F32x16 x) {
  const F32x16 cube = mul(mul(x, x), x);
  const F32x16 inner = fma(broadcast(0.044715f), cube, x);
  return mul(x, sigmoid(mul(broadcast(1.5957691216057308f), inner)));
}

}  // namespace octavo::cpu::OCTAVO_ISA
