// The body of a SimdProbe, for the instruction set whose header was included before.
#pragma once

#include "backend/cpu/simd.h"
#include "backend/simd_probe.h"

namespace octavo::cpu::OCTAVO_ISA {

inline void probe_floats(const testing::SimdInput& in, testing::SimdOutput& out) {
  const F32x16 a = load(in.a);
  const F32x16 b = load(in.b);
  const F32x16 c = load(in.c);
  store(out.zero, zero());
  store(out.broadcast, broadcast(in.a[3]));
  store(out.partial, load_partial(in.a, in.n));
  store(out.stored_partial, b);
  store_partial(out.stored_partial, a, in.n);
  store(out.first, select_first(in.n, a, b));
  store(out.less, select_less(a, b, c, a));
  store(out.add, add(a, b));
  store(out.sub, sub(a, b));
  store(out.mul, mul(a, b));
  store(out.div, div(a, b));
  store(out.fma, fma(a, b, c));
  store(out.max, max(a, b));
  store(out.min, min(a, b));
  store(out.abs, abs(a));
  store(out.round, round(a));
  store(out.scaled, scale_by_power(load(in.factor), load(in.power)));
  store(out.looked_up, look_up(a, load_u8(in.indices)));
  out.reduced[0] = reduce_add(a);
  out.reduced[1] = reduce_max(a);
  store(out.from_f16, load_f16(in.half));
  store(out.from_bf16, load_bf16(in.half));
  store_f16(out.to_f16, a);
  store(out.exp, exp(a));
  store(out.sigmoid, sigmoid(a));
  store(out.silu, silu(a));
  store(out.tanh, tanh(a));
  store(out.gelu_tanh, gelu_tanh(a));
}

inline void probe_integers(const testing::SimdInput& in, testing::SimdOutput& out) {
  const I32x16 a = load_i16(in.i16);
  const I32x16 b = load_i8(in.i8);
  store(out.wide_u8, load_u8(in.u8));
  store(out.wide_i8, b);
  store(out.wide_i16, a);
  store(out.to_i32, to_i32(load(in.small)));
  store(out.add_i32, add(a, b));
  store(out.sub_i32, sub(a, b));
  store(out.mul_i32, mul(a, b));
  store(out.and_i32, bit_and(a, broadcast_i32(in.i16[5])));
  store(out.left, shift_left<7>(a));
  store(out.right, shift_right<3>(a));
  out.reduced_i32 = reduce_add(a);
  store_i8(out.narrow, b);
  store(out.to_f32, to_f32(mul(a, mul(a, b))));
  store(out.bits, bits_to_f32(a));
}

inline void probe_bytes(const testing::SimdInput& in, testing::SimdOutput& out) {
  const U8x64 weights = load_bytes(in.weights);
  const U8x64 four = broadcast_four(in.four);
  const U8x64 low_seven = broadcast_byte(0x7F);
  const I32x16 start = load_i16(in.i16);
  store(out.dot_u7, dot_u7(start, bit_and(weights, low_seven), four));
  const U8x64 looked_up = look_up(load_table(in.table), load_bytes(in.indices));
  store(out.dot_looked_up, dot_u7(start, bit_and(looked_up, low_seven), four));
  const U8x64 up = shift_left_and<3>(weights, broadcast_byte(0x70));
  const U8x64 down = shift_right_and<4>(weights, broadcast_byte(0x0F));
  store(out.dot_shifted, dot_u7(start, bit_or(up, down), four));
  const int32_t four_sum = in.four[0] + in.four[1] + in.four[2] + in.four[3];
  const I32x16 bias = broadcast_i32(kSignedDotBias * four_sum);
  store(out.dot_signed, sub(dot_signed(start, prepare_signed(weights), four), bias));
}

inline void probe(const testing::SimdInput& in, testing::SimdOutput& out) {
  probe_floats(in, out);
  probe_integers(in, out);
  probe_bytes(in, out);
}

}  // namespace octavo::cpu::OCTAVO_ISA
