// How the numbers of K and V lie in a tile of 16 tokens, for each type of the KV cache: writing one
// token's, reading a tile's. For the instruction set of the translation unit.
//
//   F32, F16, BF16   K [head_dim][16 tokens]   V [16 tokens][head_dim]
//   Q8_0, IQ4_NL     in groups of 32 dimensions, each with a scale for every token
//                    K [groups]{scales [16 tokens], codes}   V [16 tokens][groups]{scale, codes}
//   codes of Q8_0    signed bytes, x = scale * code: K [32][16 tokens], V [32]
//   codes of IQ4_NL  half bytes, x = scale * kIq4Steps[code]: K [16][16 tokens] with dimensions 2i
//                    (low half) and 2i + 1, V [16] with dimensions i (low half) and i + 16
//
// IQ4_NL keeps groups rotated (rotate_groups). Some dimensions of K are many times as large as the
// others, and with sixteen codes would leave nothing of them; a rotation spreads what is large over
// the group. Queries are rotated alike, which leaves q·k as it is, and so is what comes of V.
//
// A token's numbers take the same bytes in K and V, and depend on nothing but the token. A scale is
// an F16 number, so that its product with a code is exact: whichever way a kernel gets at the
// floats, it gets the same. Numbers too large for a scale, and NaN, come out as NaN.
#pragma once

#include <cstdint>
#include <cstring>

#include "backend/cpu/kernel_args.h"
#include "backend/cpu/quantize_kernels.h"
#include "backend/cpu/simd.h"

namespace octavo::cpu::OCTAVO_ISA {

inline constexpr int32_t kGroup = 32;  // dimensions that share a scale

// 16-bit numbers by their meaning.
struct F16 {
  uint16_t bits;
};
struct BF16 {
  uint16_t bits;
};

OCTAVO_INLINE F32x16 load_element(const float* from) {
  return load(from);
}
OCTAVO_INLINE F32x16 load_element(const F16* from) {
  return load_f16(&from->bits);
}
OCTAVO_INLINE F32x16 load_element(const BF16* from) {
  return load_bf16(&from->bits);
}
OCTAVO_INLINE F32x16 load_elements(const float* from, int count) {
  return load_partial(from, count);
}
template <class Half>
OCTAVO_INLINE F32x16 load_elements(const Half* from, int count) {
  Half lanes[16] = {};
  std::memcpy(lanes, from, static_cast<size_t>(count) * sizeof(Half));
  return load_element(lanes);
}

OCTAVO_INLINE void round_elements(float* to, const float* from, int count) {
  store_partial(to, load_partial(from, count), count);
}
OCTAVO_INLINE void round_elements(F16* to, const float* from, int count) {
  F16 lanes[16];
  store_f16(&lanes->bits, load_partial(from, count));
  std::memcpy(to, lanes, static_cast<size_t>(count) * sizeof(F16));
}
OCTAVO_INLINE void round_elements(BF16* to, const float* from, int count) {
  // To nearest, ties to even; a NaN keeps its upper half and stays one.
  for (int i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, from + i, sizeof(bits));
    const bool is_nan = (bits & 0x7FFFFFFFu) > 0x7F800000u;
    const uint32_t rounded = is_nan ? bits | 0x400000u : bits + 0x7FFFu + (bits >> 16 & 1u);
    to[i].bits = static_cast<uint16_t>(rounded >> 16);
  }
}

OCTAVO_INLINE F32x16 broadcast_f16(uint16_t bits) {
  uint16_t lanes[16];
  for (uint16_t& lane : lanes) lane = bits;
  return load_f16(lanes);
}
OCTAVO_INLINE uint16_t round_to_f16(float value) {
  uint16_t lanes[16];
  store_f16(lanes, broadcast(value));
  return lanes[0];
}
OCTAVO_INLINE float first_lane(F32x16 a) {
  float lanes[16];
  store(lanes, a);
  return lanes[0];
}

// Rounds x / scale to a code between `least` and `most`.
OCTAVO_INLINE I32x16 round_to_code(F32x16 x, float scale, float least, float most) {
  const F32x16 code = div(x, broadcast(scale));
  return to_i32(max(broadcast(least), min(broadcast(most), code)));
}

// Tiles that are read where they lie.
template <class Number>
struct PlainTiles {
  using Element = Number;

  static int64_t bytes(int32_t head_dim) {
    return static_cast<int64_t>(sizeof(Element)) * 16 * head_dim;
  }
  const Element* keys(const std::byte* tile, int32_t /*head_dim*/, int /*slot*/) {
    return reinterpret_cast<const Element*>(tile);
  }
  const Element* values(const std::byte* tile, int32_t /*head_dim*/) {
    return reinterpret_cast<const Element*>(tile);
  }

  static void store_key(std::byte* tile, int32_t lane, const float* x, int32_t head_dim) {
    auto* to = reinterpret_cast<Element*>(tile) + lane;
    for (int32_t d = 0; d < head_dim; d += 16) {
      const int count = head_dim - d < 16 ? head_dim - d : 16;
      Element rounded[16];
      round_elements(rounded, x + d, count);
      for (int i = 0; i < count; ++i) to[16 * (d + i)] = rounded[i];
    }
  }
  static void store_value(std::byte* row, const float* x, int32_t head_dim) {
    auto* to = reinterpret_cast<Element*>(row);
    for (int32_t d = 0; d < head_dim; d += 16) {
      round_elements(to + d, x + d, head_dim - d < 16 ? head_dim - d : 16);
    }
  }
};

// Tiles whose numbers are written out as floats when they are loaded.
template <class Quantized>
struct ExpandedTiles {
  using Element = float;

  static int64_t bytes(int32_t head_dim) {
    return int64_t{head_dim} / kGroup * 16 * Quantized::kGroupBytes;
  }
  const float* keys(const std::byte* tile, int32_t head_dim, int slot) {
    float* to = floats[slot];
    for (int32_t d = 0; d < head_dim; d += kGroup) {
      Quantized::expand_keys(tile, to + 16 * d);
      tile += 16 * Quantized::kGroupBytes;
    }
    return to;
  }
  const float* values(const std::byte* tile, int32_t head_dim) {
    float* to = floats[0];
    for (int32_t d = 0; d < 16 * head_dim; d += kGroup) {
      Quantized::expand_values(tile, to + d);
      tile += Quantized::kGroupBytes;
    }
    return to;
  }

  static void store_key(std::byte* tile, int32_t lane, const float* x, int32_t head_dim) {
    for (int32_t d = 0; d < head_dim; d += kGroup) {
      const Quantized quantized(x + d);
      std::memcpy(tile + 2 * lane, &quantized.scale, 2);
      auto* to = reinterpret_cast<uint8_t*>(tile) + 32 + lane;
      for (int i = 0; i < Quantized::kGroupBytes - 2; ++i) to[16 * i] = quantized.key_byte(i);
      tile += 16 * Quantized::kGroupBytes;
    }
  }
  static void store_value(std::byte* row, const float* x, int32_t head_dim) {
    for (int32_t d = 0; d < head_dim; d += kGroup) {
      const Quantized quantized(x + d);
      std::memcpy(row, &quantized.scale, 2);
      auto* to = reinterpret_cast<uint8_t*>(row) + 2;
      for (int i = 0; i < Quantized::kGroupBytes - 2; ++i) to[i] = quantized.value_byte(i);
      row += Quantized::kGroupBytes;
    }
  }

  alignas(64) float floats[2][16 * kMaxHeadDim];
};

// A group of Q8_0: codes -127 to 127, the scale the greatest size / 127.
struct Q8Group {
  static constexpr int kGroupBytes = 2 + kGroup;

  explicit Q8Group(const float* x) {
    const F32x16 first = load(x);
    const F32x16 second = load(x + 16);
    scale = round_to_f16(greatest_size(first, second) / 127.0f);
    const float step = first_lane(broadcast_f16(scale));
    const bool usable = step > 0.0f && step < __builtin_inff();
    const I32x16 none = broadcast_i32(0);
    store_i8(codes, usable ? round_to_code(first, step, -127.0f, 127.0f) : none);
    store_i8(codes + 16, usable ? round_to_code(second, step, -127.0f, 127.0f) : none);
  }
  uint8_t key_byte(int i) const { return static_cast<uint8_t>(codes[i]); }
  uint8_t value_byte(int i) const { return static_cast<uint8_t>(codes[i]); }

  static void expand_keys(const std::byte* group, float* to) {
    const F32x16 scales = load_f16(reinterpret_cast<const uint16_t*>(group));
    const auto* codes = reinterpret_cast<const int8_t*>(group) + 32;
    for (int d = 0; d < kGroup; ++d) {
      store(to + 16 * d, mul(to_f32(load_i8(codes + 16 * d)), scales));
    }
  }
  static void expand_values(const std::byte* group, float* to) {
    uint16_t scale_bits;
    std::memcpy(&scale_bits, group, sizeof(scale_bits));
    const F32x16 scale = broadcast_f16(scale_bits);
    const auto* codes = reinterpret_cast<const int8_t*>(group) + 2;
    store(to, mul(to_f32(load_i8(codes)), scale));
    store(to + 16, mul(to_f32(load_i8(codes + 16)), scale));
  }

  uint16_t scale;
  int8_t codes[kGroup];
};

// The Walsh-Hadamard transform of each 32 numbers, times `scale`: its own inverse for 1 / sqrt(32).
// Sums and differences of numbers that are 16, 8, 4, 2 and 1 apart, in this order. out may be x.
inline void rotate_groups(float* out, const float* x, int64_t count, float scale) {
  for (int64_t at = 0; at < count; at += kGroup) {
    float from[kGroup];
    float to[kGroup];
    for (int i = 0; i < kGroup; ++i) from[i] = x[at + i] * scale;
    for (int width = kGroup / 2; width >= 1; width /= 2) {
      for (int i = 0; i < kGroup; ++i) {
        const float other = from[i ^ width];
        to[i] = (i & width) == 0 ? from[i] + other : other - from[i];
      }
      std::memcpy(from, to, sizeof(from));
    }
    std::memcpy(out + at, from, sizeof(from));
  }
}

// The steps of IQ4_NL (gguf/blocks.h).
inline constexpr float kIq4Steps[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                        1,    13,   25,  38,  53,  69,  89,  113};

// A group of IQ4_NL, rotated. Of several scales, under which the number of the greatest size comes
// to lie inside or outside of the steps, the one with the least squared error is taken.
struct Iq4Group {
  static constexpr int kGroupBytes = 2 + kGroup / 2;

  explicit Iq4Group(const float* numbers) {
    float x[kGroup];
    rotate_groups(x, numbers, kGroup, kRotateStored);
    const F32x16 halves[2] = {load(x), load(x + 16)};
    const float size = greatest_size(halves[0], halves[1]);
    const float greatest = reduce_max(max(halves[0], halves[1]));
    const float peak = greatest == size ? -size : size;  // the scale turns it to the first step
    float least_error = __builtin_inff();
    scale = size < __builtin_inff() ? 0 : 0x7E00;  // all zero, or all NaN
    store_i8(codes, broadcast_i32(0));
    store_i8(codes + 16, broadcast_i32(0));
    for (int32_t end = 95; end <= 159; end += 8) {
      const uint16_t candidate = round_to_f16(peak / static_cast<float>(end));
      const float step = first_lane(broadcast_f16(candidate));
      if (step == 0.0f || step - step != 0.0f) continue;
      I32x16 chosen[2];
      F32x16 errors = zero();
      for (int half = 0; half < 2; ++half) {
        chosen[half] = nearest_step(div(halves[half], broadcast(step)));
        const F32x16 value = mul(look_up(load(kIq4Steps), chosen[half]), broadcast(step));
        const F32x16 error = sub(halves[half], value);
        errors = fma(error, error, errors);
      }
      const float error = reduce_add(errors);
      if (!(error < least_error)) continue;
      least_error = error;
      scale = candidate;
      store_i8(codes, chosen[0]);
      store_i8(codes + 16, chosen[1]);
    }
  }

  // The number of middles between steps that lie below x.
  OCTAVO_INLINE static I32x16 nearest_step(F32x16 x) {
    F32x16 below = zero();
    for (int i = 0; i < 15; ++i) {
      const F32x16 middle = broadcast((kIq4Steps[i] + kIq4Steps[i + 1]) * 0.5f);
      below = add(below, select_less(middle, x, broadcast(1.0f), zero()));
    }
    return to_i32(below);
  }
  static uint8_t join(int low, int high) { return static_cast<uint8_t>(low | high << 4); }
  uint8_t key_byte(int i) const { return join(codes[2 * i], codes[2 * i + 1]); }
  uint8_t value_byte(int i) const { return join(codes[i], codes[i + 16]); }

  static void expand_keys(const std::byte* group, float* to) {
    const F32x16 scales = load_f16(reinterpret_cast<const uint16_t*>(group));
    const auto* bytes = reinterpret_cast<const uint8_t*>(group) + 32;
    for (int i = 0; i < kGroup / 2; ++i) {
      expand_bytes(bytes + 16 * i, scales, to + 32 * i, to + 32 * i + 16);
    }
  }
  static void expand_values(const std::byte* group, float* to) {
    uint16_t scale_bits;
    std::memcpy(&scale_bits, group, sizeof(scale_bits));
    const auto* bytes = reinterpret_cast<const uint8_t*>(group) + 2;
    expand_bytes(bytes, broadcast_f16(scale_bits), to, to + 16);
  }
  OCTAVO_INLINE static void expand_bytes(const uint8_t* from, F32x16 scale, float* low,
                                         float* high) {
    const I32x16 bytes = load_u8(from);
    const F32x16 steps = load(kIq4Steps);
    store(low, mul(look_up(steps, bit_and(bytes, broadcast_i32(15))), scale));
    store(high, mul(look_up(steps, shift_right<4>(bytes)), scale));
  }

  uint16_t scale;
  int8_t codes[kGroup];
};

template <class Tiles>
inline void store_heads(const StoredRow& row) {
  for (int32_t head = 0; head < row.kv_heads; ++head) {
    const int64_t at = int64_t{head} * row.head_dim;
    const int64_t offset = head * row.head_bytes;
    Tiles::store_key(row.key_tile + offset, row.lane, row.key + at, row.head_dim);
    Tiles::store_value(row.value_row + offset, row.value + at, row.head_dim);
  }
}

template <class Type>
struct Kind {
  using Tiles = Type;
};

// Calls body(Kind<...>) with the kind of tiles that a type has.
template <class Body>
OCTAVO_INLINE void with_tiles(DType type, const Body& body) {
  switch (type) {
    case DType::f16:
      return body(Kind<PlainTiles<F16>>());
    case DType::bf16:
      return body(Kind<PlainTiles<BF16>>());
    case DType::q8_0:
      return body(Kind<ExpandedTiles<Q8Group>>());
    case DType::iq4_nl:
      return body(Kind<ExpandedTiles<Iq4Group>>());
    default:
      return body(Kind<PlainTiles<float>>());
  }
}

inline void store_row(const StoredRow& row) {
  with_tiles(row.type, [&](auto kind) { store_heads<typename decltype(kind)::Tiles>(row); });
}

}  // namespace octavo::cpu::OCTAVO_ISA
