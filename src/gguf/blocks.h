// The blocks of GGUF's quantised tensor types, byte for byte as they lie in a file.
//
// A row of a quantised tensor is a sequence of blocks of 32 or 256 values. In the formulas, x[i] is
// value i of the block and f16(d) the float that a half-precision field holds. "Nibbles in halves"
// means that 16 bytes hold 32 four-bit numbers: byte j has number j in its low half and number
// j + 16 in its high half. Multi-byte fields are little-endian, and no field is aligned to more
// than two bytes, because blocks follow one another without padding.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace octavo::gguf {

inline constexpr size_t kSuperBlock = 256;  // values in a block of the K and IQ4_XS types

// x[i] = f16(d) * (q[i] - 8); q: nibbles in halves.
struct BlockQ4_0 {
  uint16_t d;
  uint8_t qs[16];
};

// x[i] = f16(d) * q[i] + f16(m); q: nibbles in halves.
struct BlockQ4_1 {
  uint16_t d;
  uint16_t m;
  uint8_t qs[16];
};

// x[i] = f16(d) * (q[i] - 16); the low four bits of q: nibbles in halves; the fifth: bit i of the
// 32-bit number qh.
struct BlockQ5_0 {
  uint16_t d;
  uint8_t qh[4];
  uint8_t qs[16];
};

// x[i] = f16(d) * q[i] + f16(m); q as in Q5_0.
struct BlockQ5_1 {
  uint16_t d;
  uint16_t m;
  uint8_t qh[4];
  uint8_t qs[16];
};

// x[i] = f16(d) * qs[i].
struct BlockQ8_0 {
  uint16_t d;
  int8_t qs[32];
};

// Sixteen groups of 16 values. Group g has the scale s = low half of scales[g] and the minimum
// m = high half: x = (f16(d) * s) * q - f16(dmin) * m. The two-bit q of value 128 * h + 32 * k + j
// (j < 32) is at bit 2 * k of qs[32 * h + j].
struct BlockQ2_K {
  uint8_t scales[16];
  uint8_t qs[64];
  uint16_t d;
  uint16_t dmin;
};

// Sixteen groups of 16 values with six-bit scales: x = (f16(d) * (s - 32)) * (q - 4 * absent). The
// two-bit q lies as in Q2_K; `absent` is 1 where bit i / 32 of hmask[i % 32] is 0. The low four
// bits of the scale of group g are in a half of scales[g % 8] (low for g < 8), the high two at bit
// 2 * (g / 4) of scales[8 + g % 4].
struct BlockQ3_K {
  uint8_t hmask[32];
  uint8_t qs[64];
  uint8_t scales[12];
  uint16_t d;
};

// Eight groups of 32 values with a six-bit scale s and minimum m (see scale_and_min()):
// x = (f16(d) * s) * q - f16(dmin) * m. The nibble q of value 64 * h + 32 * k + j (j < 32, k < 2)
// is half k of qs[32 * h + j].
struct BlockQ4_K {
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t qs[128];
};

// As Q4_K with a fifth bit of q: bit i / 32 of qh[i % 32].
struct BlockQ5_K {
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t qh[32];
  uint8_t qs[128];
};

// Sixteen groups of 16 values: x = (f16(d) * scales[g]) * (q - 32). For value
// 128 * h + 32 * k + j (j < 32, k < 4), the low four bits of q are half k / 2 of
// ql[64 * h + 32 * (k % 2) + j], the high two at bit 2 * k of qh[32 * h + j].
struct BlockQ6_K {
  uint8_t ql[128];
  uint8_t qh[64];
  int8_t scales[16];
  uint16_t d;
};

// x[i] = f16(d) * kIq4Values[q[i]]; q: nibbles in halves.
struct BlockIQ4_NL {
  uint16_t d;
  uint8_t qs[16];
};

// Eight groups of 32 values with six-bit scales: x = (f16(d) * (s - 32)) * kIq4Values[q]. The low
// four bits of the scale of group g are half g % 2 of scales_l[g / 2], the high two at bit 2 * g of
// scales_h; q: nibbles in halves within the group's 16 bytes.
struct BlockIQ4_XS {
  uint16_t d;
  uint16_t scales_h;
  uint8_t scales_l[4];
  uint8_t qs[128];
};

// x[i] = 2^(e - 128) * kMxfp4Values[q[i]]; q: nibbles in halves. The values are twice those of the
// format's E2M1 numbers (OCP Microscaling Formats 1.0), the power half of its E8M0 scale.
struct BlockMXFP4 {
  uint8_t e;
  uint8_t qs[16];
};

static_assert(sizeof(BlockQ4_0) == info(DType::q4_0).block_bytes);
static_assert(sizeof(BlockQ4_1) == info(DType::q4_1).block_bytes);
static_assert(sizeof(BlockQ5_0) == info(DType::q5_0).block_bytes);
static_assert(sizeof(BlockQ5_1) == info(DType::q5_1).block_bytes);
static_assert(sizeof(BlockQ8_0) == info(DType::q8_0).block_bytes);
static_assert(sizeof(BlockQ2_K) == info(DType::q2_k).block_bytes);
static_assert(sizeof(BlockQ3_K) == info(DType::q3_k).block_bytes);
static_assert(sizeof(BlockQ4_K) == info(DType::q4_k).block_bytes);
static_assert(sizeof(BlockQ5_K) == info(DType::q5_k).block_bytes);
static_assert(sizeof(BlockQ6_K) == info(DType::q6_k).block_bytes);
static_assert(sizeof(BlockIQ4_NL) == info(DType::iq4_nl).block_bytes);
static_assert(sizeof(BlockIQ4_XS) == info(DType::iq4_xs).block_bytes);
static_assert(sizeof(BlockMXFP4) == info(DType::mxfp4).block_bytes);

// The non-linear steps of IQ4_NL and IQ4_XS.
inline constexpr std::array<int8_t, 16> kIq4Values = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                      1,    13,   25,  38,  53,  69,  89,  113};

// E2M1 numbers, doubled so that they are whole.
inline constexpr std::array<int8_t, 16> kMxfp4Values = {0, 1,  2,  3,  4,  6,  8,  12,
                                                        0, -1, -2, -3, -4, -6, -8, -12};

struct ScaleAndMin {
  uint8_t scale;
  uint8_t min;
};

// The six-bit scale and minimum of group 0 to 7 in the 12 bytes `scales` of Q4_K and Q5_K. The
// first four groups have theirs in the low six bits of bytes g and 4 + g. The others have the low
// four bits in the halves of byte 4 + g and the high two in the top bits of bytes g - 4 and g.
constexpr ScaleAndMin scale_and_min(const uint8_t* scales, size_t group) {
  if (group < 4) {
    return {static_cast<uint8_t>(scales[group] & 0x3F),
            static_cast<uint8_t>(scales[4 + group] & 0x3F)};
  }
  const uint8_t low = scales[4 + group];
  return {static_cast<uint8_t>((low & 0x0F) | (scales[group - 4] >> 6 << 4)),
          static_cast<uint8_t>(low >> 4 | (scales[group] >> 6 << 4))};
}

}  // namespace octavo::gguf
