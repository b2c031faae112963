// Operations on each element alone, for the instruction set of the translation unit. An element's
// bits do not depend on where a range begins or ends.
#pragma once

#include <cstdint>

#include "backend/cpu/simd.h"

namespace octavo::cpu::OCTAVO_ISA {

// x += y.
inline void add_in_place(float* x, const float* y, int64_t count) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) store(x + i, add(load(x + i), load(y + i)));
  const int rest = static_cast<int>(count - i);
  store_partial(x + i, add(load_partial(x + i, rest), load_partial(y + i, rest)), rest);
}

// x *= factor.
inline void scale_in_place(float* x, float factor, int64_t count) {
  const F32x16 factors = broadcast(factor);
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) store(x + i, mul(load(x + i), factors));
  const int rest = static_cast<int>(count - i);
  store_partial(x + i, mul(load_partial(x + i, rest), factors), rest);
}

// gate = silu(gate) * up.
inline void silu_gate(float* gate, const float* up, int64_t count) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) store(gate + i, mul(silu(load(gate + i)), load(up + i)));
  const int rest = static_cast<int>(count - i);
  const F32x16 last = mul(silu(load_partial(gate + i, rest)), load_partial(up + i, rest));
  store_partial(gate + i, last, rest);
}

// gate = gelu_tanh(gate) * up.
inline void gelu_tanh_gate(float* gate, const float* up, int64_t count) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) store(gate + i, mul(gelu_tanh(load(gate + i)), load(up + i)));
  const int rest = static_cast<int>(count - i);
  const F32x16 last = mul(gelu_tanh(load_partial(gate + i, rest)), load_partial(up + i, rest));
  store_partial(gate + i, last, rest);
}

// x = cap * tanh(x / cap).
inline void soft_cap_in_place(float* x, float cap, int64_t count) {
  const F32x16 caps = broadcast(cap);
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) store(x + i, mul(caps, tanh(div(load(x + i), caps))));
  const int rest = static_cast<int>(count - i);
  store_partial(x + i, mul(caps, tanh(div(load_partial(x + i, rest), caps))), rest);
}

}  // namespace octavo::cpu::OCTAVO_ISA
