#include "backend/cuda/pack_weight.h"

#include <array>

#include "base/check.h"
#include "gguf/blocks.h"

namespace octavo::cuda {
namespace {

// One block of the file, spread out: its codes one a byte, and its scales as the plane has them.
struct Unpacked {
  std::array<uint8_t, 256> codes;
  std::array<uint8_t, 16> scales;  // scale_bytes of each chunk
  std::array<uint8_t, 4> super;
};

void put_u16(uint8_t* to, uint16_t value) {
  std::memcpy(to, &value, sizeof(value));
}

// 32 codes from nibbles in halves.
void nibbles_in_halves(const uint8_t* from, uint8_t* codes) {
  for (size_t j = 0; j < 16; ++j) {
    codes[j] = from[j] & 15;
    codes[j + 16] = from[j] >> 4;
  }
}

void unpack(const gguf::BlockQ4_0& block, Unpacked& out) {
  nibbles_in_halves(block.qs, out.codes.data());
  put_u16(out.scales.data(), block.d);
}

void unpack(const gguf::BlockQ4_1& block, Unpacked& out) {
  nibbles_in_halves(block.qs, out.codes.data());
  put_u16(out.scales.data(), block.d);
  put_u16(out.scales.data() + 2, block.m);
}

void add_fifth_bits(const uint8_t* qh, uint8_t* codes) {
  uint32_t bits = 0;
  std::memcpy(&bits, qh, sizeof(bits));
  for (size_t i = 0; i < 32; ++i) codes[i] |= static_cast<uint8_t>((bits >> i & 1) << 4);
}

void unpack(const gguf::BlockQ5_0& block, Unpacked& out) {
  nibbles_in_halves(block.qs, out.codes.data());
  add_fifth_bits(block.qh, out.codes.data());
  put_u16(out.scales.data(), block.d);
}

void unpack(const gguf::BlockQ5_1& block, Unpacked& out) {
  nibbles_in_halves(block.qs, out.codes.data());
  add_fifth_bits(block.qh, out.codes.data());
  put_u16(out.scales.data(), block.d);
  put_u16(out.scales.data() + 2, block.m);
}

void unpack(const gguf::BlockQ8_0& block, Unpacked& out) {
  std::memcpy(out.codes.data(), block.qs, 32);
  put_u16(out.scales.data(), block.d);
}

// The two bits of all codes as Q2_K and Q3_K have them.
void pairs_of_bits(const uint8_t* qs, uint8_t* codes) {
  for (size_t i = 0; i < 256; ++i) {
    codes[i] = qs[i / 128 * 32 + i % 32] >> (2 * (i % 128 / 32)) & 3;
  }
}

void unpack(const gguf::BlockQ2_K& block, Unpacked& out) {
  pairs_of_bits(block.qs, out.codes.data());
  std::memcpy(out.scales.data(), block.scales, 16);
  put_u16(out.super.data(), block.d);
  put_u16(out.super.data() + 2, block.dmin);
}

void unpack(const gguf::BlockQ3_K& block, Unpacked& out) {
  pairs_of_bits(block.qs, out.codes.data());
  for (size_t i = 0; i < 256; ++i) {
    out.codes[i] |= static_cast<uint8_t>((block.hmask[i % 32] >> (i / 32) & 1) << 2);
  }
  for (size_t g = 0; g < 16; ++g) {
    const int low = block.scales[g % 8] >> (g < 8 ? 0 : 4) & 15;
    const int high = block.scales[8 + g % 4] >> (2 * (g / 4)) & 3;
    out.scales[g] = static_cast<uint8_t>((low | high << 4) - 32);
  }
  put_u16(out.super.data(), block.d);
}

// The nibbles of Q4_K and Q5_K: 32 in the low halves of 32 bytes, 32 in the high ones.
void nibbles_of_64(const uint8_t* qs, uint8_t* codes) {
  for (size_t i = 0; i < 256; ++i) {
    codes[i] = qs[i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4) & 15;
  }
}

template <class Block>
void unpack_scales_and_mins(const Block& block, Unpacked& out) {
  for (size_t g = 0; g < 8; ++g) {
    const gguf::ScaleAndMin both = gguf::scale_and_min(block.scales, g);
    out.scales[2 * g] = both.scale;
    out.scales[2 * g + 1] = both.min;
  }
  put_u16(out.super.data(), block.d);
  put_u16(out.super.data() + 2, block.dmin);
}

void unpack(const gguf::BlockQ4_K& block, Unpacked& out) {
  nibbles_of_64(block.qs, out.codes.data());
  unpack_scales_and_mins(block, out);
}

void unpack(const gguf::BlockQ5_K& block, Unpacked& out) {
  nibbles_of_64(block.qs, out.codes.data());
  for (size_t i = 0; i < 256; ++i) {
    out.codes[i] |= static_cast<uint8_t>((block.qh[i % 32] >> (i / 32) & 1) << 4);
  }
  unpack_scales_and_mins(block, out);
}

void unpack(const gguf::BlockQ6_K& block, Unpacked& out) {
  for (size_t i = 0; i < 256; ++i) {
    const size_t h = i / 128;
    const size_t k = i % 128 / 32;
    const size_t j = i % 32;
    const int low = block.ql[64 * h + 32 * (k % 2) + j] >> (4 * (k / 2)) & 15;
    const int high = block.qh[32 * h + j] >> (2 * k) & 3;
    out.codes[i] = static_cast<uint8_t>(low | high << 4);
  }
  std::memcpy(out.scales.data(), block.scales, 16);
  put_u16(out.super.data(), block.d);
}

void unpack(const gguf::BlockIQ4_NL& block, Unpacked& out) {
  nibbles_in_halves(block.qs, out.codes.data());
  put_u16(out.scales.data(), block.d);
}

void unpack(const gguf::BlockIQ4_XS& block, Unpacked& out) {
  for (size_t g = 0; g < 8; ++g) {
    nibbles_in_halves(block.qs + 16 * g, out.codes.data() + 32 * g);
    const int low = block.scales_l[g / 2] >> (4 * (g % 2)) & 15;
    const int high = block.scales_h >> (2 * g) & 3;
    out.scales[g] = static_cast<uint8_t>((low | high << 4) - 32);
  }
  put_u16(out.super.data(), block.d);
}

void unpack(const gguf::BlockMXFP4& block, Unpacked& out) {
  nibbles_in_halves(block.qs, out.codes.data());
  out.scales[0] = block.e;
}

// The planes of one chunk from its codes, one a byte.
void pack_codes(Format format, const uint8_t* codes, uint8_t* low, uint8_t* high) {
  OCTAVO_CHECK(format.high_bits == 0 || high != nullptr, "no plane for the high bits");
  std::memset(low, 0, static_cast<size_t>(code_bytes(format)));
  if (format.high_bits > 0) std::memset(high, 0, static_cast<size_t>(high_bytes(format)));
  const int low_mask = (1 << format.code_bits) - 1;
  for (int i = 0; i < kChunk; ++i) {
    const int word = i / 4;
    const int byte = i % 4;
    const int code = codes[i] & low_mask;
    const int rest = codes[i] >> format.code_bits;
    const auto put = [byte](uint8_t* plane, int at_word, int at_bit, int bits) {
      plane[4 * at_word + byte] |= static_cast<uint8_t>(bits << at_bit);
    };
    if (format.code_bits == 8) put(low, word, 0, code);
    if (format.code_bits == 4) put(low, word % 4, word / 4 * 4, code);
    if (format.code_bits == 2) put(low, word / 4, 2 * (word % 4), code);
    if (format.high_bits == 1) put(high, 0, word, rest);
    if (format.high_bits == 2) put(high, word / 4, 2 * (word % 4), rest);
  }
}

template <class Block>
void pack_blocks(DType type, const std::byte* blocks, int64_t count, const Planes& planes) {
  const Format format = format_of(type);
  const auto chunks = static_cast<int64_t>(info(type).block_elements) / kChunk;  // of a block
  Unpacked unpacked;
  for (int64_t b = 0; b < count; ++b) {
    Block block;
    std::memcpy(&block, blocks + b * static_cast<int64_t>(sizeof(Block)), sizeof(Block));
    unpack(block, unpacked);
    for (int64_t c = 0; c < chunks; ++c) {
      const int64_t index = b * chunks + c;
      pack_codes(format, unpacked.codes.data() + c * kChunk,
                 planes.codes + index * code_bytes(format),
                 planes.high == nullptr ? nullptr : planes.high + index * high_bytes(format));
    }
    std::memcpy(planes.scales + b * chunks * scale_bytes(format), unpacked.scales.data(),
                static_cast<size_t>(chunks * scale_bytes(format)));
    if (planes.super != nullptr) {
      std::memcpy(planes.super + b * super_bytes(format), unpacked.super.data(),
                  static_cast<size_t>(super_bytes(format)));
    }
  }
}

}  // namespace

PlaneBytes plane_bytes(DType type, int64_t rows, int64_t columns) {
  const Format format = format_of(type);
  const auto chunks = static_cast<size_t>(rows * (columns / kChunk));
  return {chunks * static_cast<size_t>(code_bytes(format)),
          chunks * static_cast<size_t>(high_bytes(format)),
          chunks * static_cast<size_t>(scale_bytes(format)),
          chunks / kChunksPerSuper * static_cast<size_t>(super_bytes(format))};
}

void pack_rows(DType type, const std::byte* blocks, int64_t rows, int64_t columns,
               const Planes& planes) {
  const int64_t count = rows * columns / static_cast<int64_t>(info(type).block_elements);
  switch (type) {
    case DType::q4_0:
      return pack_blocks<gguf::BlockQ4_0>(type, blocks, count, planes);
    case DType::q4_1:
      return pack_blocks<gguf::BlockQ4_1>(type, blocks, count, planes);
    case DType::q5_0:
      return pack_blocks<gguf::BlockQ5_0>(type, blocks, count, planes);
    case DType::q5_1:
      return pack_blocks<gguf::BlockQ5_1>(type, blocks, count, planes);
    case DType::q8_0:
      return pack_blocks<gguf::BlockQ8_0>(type, blocks, count, planes);
    case DType::q2_k:
      return pack_blocks<gguf::BlockQ2_K>(type, blocks, count, planes);
    case DType::q3_k:
      return pack_blocks<gguf::BlockQ3_K>(type, blocks, count, planes);
    case DType::q4_k:
      return pack_blocks<gguf::BlockQ4_K>(type, blocks, count, planes);
    case DType::q5_k:
      return pack_blocks<gguf::BlockQ5_K>(type, blocks, count, planes);
    case DType::q6_k:
      return pack_blocks<gguf::BlockQ6_K>(type, blocks, count, planes);
    case DType::iq4_nl:
      return pack_blocks<gguf::BlockIQ4_NL>(type, blocks, count, planes);
    case DType::iq4_xs:
      return pack_blocks<gguf::BlockIQ4_XS>(type, blocks, count, planes);
    case DType::mxfp4:
      return pack_blocks<gguf::BlockMXFP4>(type, blocks, count, planes);
    case DType::f32:
    case DType::f16:
    case DType::bf16:
      break;
  }
  OCTAVO_CHECK(false, "{} has no blocks", info(type).name);
}

}  // namespace octavo::cuda
