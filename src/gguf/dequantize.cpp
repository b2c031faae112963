#include "gguf/dequantize.h"

#include <bit>
#include <cstdint>
#include <cstring>

#include "base/check.h"
#include "base/float16.h"
#include "gguf/blocks.h"

namespace octavo::gguf {
namespace {

// Half 0 or 1 of a byte.
int nibble(uint8_t byte, size_t half) {
  return byte >> (4 * half) & 0x0F;
}

// Number i of the 32 in 16 bytes of "nibbles in halves" (blocks.h).
int nibble_in_halves(const uint8_t* qs, size_t i) {
  return nibble(qs[i % 16], i / 16);
}

int bit(const uint8_t* bits, size_t i) {
  return bits[i / 8] >> (i % 8) & 1;
}

float to_float(float value) {
  return value;
}

struct F16 {
  uint16_t bits;
};
float to_float(F16 value) {
  return float_from_f16(value.bits);
}

struct Bf16 {
  uint16_t bits;
};
float to_float(Bf16 value) {
  return float_from_bf16(value.bits);
}

template <class Element>
void dequantize(const Element& element, float* out) {
  *out = to_float(element);
}

void dequantize(const BlockQ4_0& block, float* out) {
  const float d = float_from_f16(block.d);
  for (size_t i = 0; i < 32; ++i) {
    out[i] = d * static_cast<float>(nibble_in_halves(block.qs, i) - 8);
  }
}

void dequantize(const BlockQ4_1& block, float* out) {
  const float d = float_from_f16(block.d);
  const float m = float_from_f16(block.m);
  for (size_t i = 0; i < 32; ++i) {
    out[i] = d * static_cast<float>(nibble_in_halves(block.qs, i)) + m;
  }
}

void dequantize(const BlockQ5_0& block, float* out) {
  const float d = float_from_f16(block.d);
  for (size_t i = 0; i < 32; ++i) {
    const int q = nibble_in_halves(block.qs, i) | bit(block.qh, i) << 4;
    out[i] = d * static_cast<float>(q - 16);
  }
}

void dequantize(const BlockQ5_1& block, float* out) {
  const float d = float_from_f16(block.d);
  const float m = float_from_f16(block.m);
  for (size_t i = 0; i < 32; ++i) {
    const int q = nibble_in_halves(block.qs, i) | bit(block.qh, i) << 4;
    out[i] = d * static_cast<float>(q) + m;
  }
}

void dequantize(const BlockQ8_0& block, float* out) {
  const float d = float_from_f16(block.d);
  for (size_t i = 0; i < 32; ++i) out[i] = d * static_cast<float>(block.qs[i]);
}

// Value i's two bits of Q2_K and Q3_K.
int two_bits(const uint8_t* qs, size_t i) {
  return qs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
}

void dequantize(const BlockQ2_K& block, float* out) {
  const float d = float_from_f16(block.d);
  const float dmin = float_from_f16(block.dmin);
  for (size_t i = 0; i < kSuperBlock; ++i) {
    const uint8_t group = block.scales[i / 16];
    const float scale = d * static_cast<float>(nibble(group, 0));
    const float min = dmin * static_cast<float>(nibble(group, 1));
    out[i] = scale * static_cast<float>(two_bits(block.qs, i)) - min;
  }
}

void dequantize(const BlockQ3_K& block, float* out) {
  const float d = float_from_f16(block.d);
  for (size_t i = 0; i < kSuperBlock; ++i) {
    const size_t group = i / 16;
    const int low = nibble(block.scales[group % 8], group / 8);
    const int high = block.scales[8 + group % 4] >> (group / 4 * 2) & 3;
    const float scale = d * static_cast<float>((low | high << 4) - 32);
    const int absent = (block.hmask[i % 32] >> (i / 32) & 1) == 0 ? 1 : 0;
    out[i] = scale * static_cast<float>(two_bits(block.qs, i) - 4 * absent);
  }
}

// Value i's nibble of Q4_K and Q5_K.
int nibble_in_k_block(const uint8_t* qs, size_t i) {
  return nibble(qs[i / 64 * 32 + i % 32], i % 64 / 32);
}

void dequantize(const BlockQ4_K& block, float* out) {
  const float d = float_from_f16(block.d);
  const float dmin = float_from_f16(block.dmin);
  for (size_t i = 0; i < kSuperBlock; ++i) {
    const ScaleAndMin group = scale_and_min(block.scales, i / 32);
    const float scale = d * static_cast<float>(group.scale);
    const float min = dmin * static_cast<float>(group.min);
    out[i] = scale * static_cast<float>(nibble_in_k_block(block.qs, i)) - min;
  }
}

void dequantize(const BlockQ5_K& block, float* out) {
  const float d = float_from_f16(block.d);
  const float dmin = float_from_f16(block.dmin);
  for (size_t i = 0; i < kSuperBlock; ++i) {
    const ScaleAndMin group = scale_and_min(block.scales, i / 32);
    const float scale = d * static_cast<float>(group.scale);
    const float min = dmin * static_cast<float>(group.min);
    const int high = block.qh[i % 32] >> (i / 32) & 1;
    const int q = nibble_in_k_block(block.qs, i) | high << 4;
    out[i] = scale * static_cast<float>(q) - min;
  }
}

void dequantize(const BlockQ6_K& block, float* out) {
  const float d = float_from_f16(block.d);
  for (size_t i = 0; i < kSuperBlock; ++i) {
    const int8_t group = block.scales[i / 16];
    const float scale = d * static_cast<float>(group);
    const size_t half = i / 128;
    const size_t within = i % 128;
    const int low = nibble(block.ql[64 * half + within % 64], within / 64);
    const int high = block.qh[32 * half + within % 32] >> (within / 32 * 2) & 3;
    out[i] = scale * static_cast<float>((low | high << 4) - 32);
  }
}

void dequantize(const BlockIQ4_NL& block, float* out) {
  const float d = float_from_f16(block.d);
  for (size_t i = 0; i < 32; ++i) {
    out[i] = d * static_cast<float>(kIq4Values[nibble_in_halves(block.qs, i)]);
  }
}

void dequantize(const BlockIQ4_XS& block, float* out) {
  const float d = float_from_f16(block.d);
  for (size_t group = 0; group < 8; ++group) {
    const int low = nibble(block.scales_l[group / 2], group % 2);
    const int high = block.scales_h >> (2 * group) & 3;
    const float scale = d * static_cast<float>((low | high << 4) - 32);
    for (size_t i = 0; i < 32; ++i) {
      const int q = nibble_in_halves(block.qs + 16 * group, i);
      out[32 * group + i] = scale * static_cast<float>(kIq4Values[q]);
    }
  }
}

void dequantize(const BlockMXFP4& block, float* out) {
  // 2^(e - 128) as a float: below e = 2 it is a subnormal number.
  const uint32_t bits =
      block.e < 2 ? 0x00200000u << block.e : static_cast<uint32_t>(block.e - 1) << 23;
  const float d = std::bit_cast<float>(bits);
  for (size_t i = 0; i < 32; ++i) {
    out[i] = d * static_cast<float>(kMxfp4Values[nibble_in_halves(block.qs, i)]);
  }
}

template <class Block>
void dequantize_blocks(const std::byte* blocks, float* out, size_t count, size_t block_elements) {
  for (size_t i = 0; i < count; ++i) {
    Block block;
    std::memcpy(&block, blocks + i * sizeof(Block), sizeof(Block));
    dequantize(block, out + i * block_elements);
  }
}

}  // namespace

void dequantize_row(DType type, const std::byte* blocks, float* out, size_t elements) {
  const size_t per_block = info(type).block_elements;
  OCTAVO_CHECK(elements % per_block == 0, "{} values of {}", elements, info(type).name);
  const size_t count = elements / per_block;
  switch (type) {
    case DType::f32:
      return dequantize_blocks<float>(blocks, out, count, per_block);
    case DType::f16:
      return dequantize_blocks<F16>(blocks, out, count, per_block);
    case DType::bf16:
      return dequantize_blocks<Bf16>(blocks, out, count, per_block);
    case DType::q4_0:
      return dequantize_blocks<BlockQ4_0>(blocks, out, count, per_block);
    case DType::q4_1:
      return dequantize_blocks<BlockQ4_1>(blocks, out, count, per_block);
    case DType::q5_0:
      return dequantize_blocks<BlockQ5_0>(blocks, out, count, per_block);
    case DType::q5_1:
      return dequantize_blocks<BlockQ5_1>(blocks, out, count, per_block);
    case DType::q8_0:
      return dequantize_blocks<BlockQ8_0>(blocks, out, count, per_block);
    case DType::q2_k:
      return dequantize_blocks<BlockQ2_K>(blocks, out, count, per_block);
    case DType::q3_k:
      return dequantize_blocks<BlockQ3_K>(blocks, out, count, per_block);
    case DType::q4_k:
      return dequantize_blocks<BlockQ4_K>(blocks, out, count, per_block);
    case DType::q5_k:
      return dequantize_blocks<BlockQ5_K>(blocks, out, count, per_block);
    case DType::q6_k:
      return dequantize_blocks<BlockQ6_K>(blocks, out, count, per_block);
    case DType::iq4_nl:
      return dequantize_blocks<BlockIQ4_NL>(blocks, out, count, per_block);
    case DType::iq4_xs:
      return dequantize_blocks<BlockIQ4_XS>(blocks, out, count, per_block);
    case DType::mxfp4:
      return dequantize_blocks<BlockMXFP4>(blocks, out, count, per_block);
  }
  OCTAVO_CHECK(false, "unknown type {}", static_cast<int>(type));
}

}  // namespace octavo::gguf
