// How a quantised matrix lies in a device's memory, and how a chunk of it is read.
//
// A chunk is 32 columns of a row. What the file keeps together in blocks is spread over up to four
// planes, each [rows, columns / 32] (the last [rows, columns / 256]) without padding, so that the
// neighbouring threads of a warp, which take neighbouring chunks, load neighbouring words:
//
//   codes   of a chunk: the low bits of its 32 codes. "Word j" is the four codes of columns 4j to
//           4j + 3, one a byte.
//             8 bits  32 bytes: words 0 to 7
//             4 bits  16 bytes: word j in the low, word j + 4 in the high nibbles (j < 4)
//             2 bits   8 bytes: words 0 to 3, then words 4 to 7, word j at bit 2 * (j % 4)
//   high    of a chunk: the bits above those
//             1 bit    4 bytes: of word j at bit j of each byte
//             2 bits   8 bytes: as the codes of 2 bits
//   scales  of a chunk, see ScaleKind
//   super   of 8 chunks: f16 d, then f16 dmin where the format has minima
//
// Everything here is plain C++ that a host compiler understands too: tests hold decode_chunk() to
// gguf::dequantize_row() bit for bit without a device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "backend/cuda/half_bits.h"
#include "base/dtype.h"

namespace octavo::cuda {

inline constexpr int kChunk = 32;
inline constexpr int kChunksPerSuper = 8;

// What the plane `scales` holds of a chunk.
enum class ScaleKind {
  f16,              // 2 bytes: f16 scale
  f16_and_addend,   // 4 bytes: f16 scale, f16 addend
  e8m0,             // 1 byte: e of the scale 2^(e - 128)
  super_32,         // 2 bytes: the scale and the minimum that multiply d and dmin
  super_signed_32,  // 1 byte: the signed scale that multiplies d
  super_signed_16,  // 2 bytes: the same for each half of the chunk
  super_16,         // 2 bytes: for each half, scale in the low, minimum in the high nibble
};

enum class Lookup { none, iq4, mxfp4 };

// A quantised type: value = scale * (code - offset) + addend, or scale * table[code] + addend.
struct Format {
  int code_bits;  // in the plane `codes`: 2, 4 or 8
  int high_bits;  // in the plane `high`: 0, 1 or 2
  int offset;
  Lookup lookup;
  ScaleKind scale;
};

constexpr Format format_of(DType type) {
  switch (type) {
    case DType::q4_0:
      return {4, 0, 8, Lookup::none, ScaleKind::f16};
    case DType::q4_1:
      return {4, 0, 0, Lookup::none, ScaleKind::f16_and_addend};
    case DType::q5_0:
      return {4, 1, 16, Lookup::none, ScaleKind::f16};
    case DType::q5_1:
      return {4, 1, 0, Lookup::none, ScaleKind::f16_and_addend};
    case DType::q8_0:
      return {8, 0, 0, Lookup::none, ScaleKind::f16};
    case DType::q2_k:
      return {2, 0, 0, Lookup::none, ScaleKind::super_16};
    case DType::q3_k:
      return {2, 1, 4, Lookup::none, ScaleKind::super_signed_16};
    case DType::q4_k:
      return {4, 0, 0, Lookup::none, ScaleKind::super_32};
    case DType::q5_k:
      return {4, 1, 0, Lookup::none, ScaleKind::super_32};
    case DType::q6_k:
      return {4, 2, 32, Lookup::none, ScaleKind::super_signed_16};
    case DType::iq4_nl:
      return {4, 0, 0, Lookup::iq4, ScaleKind::f16};
    case DType::iq4_xs:
      return {4, 0, 0, Lookup::iq4, ScaleKind::super_signed_32};
    case DType::mxfp4:
      return {4, 0, 0, Lookup::mxfp4, ScaleKind::e8m0};
    case DType::f32:
    case DType::f16:
    case DType::bf16:
      break;
  }
  return {0, 0, 0, Lookup::none, ScaleKind::f16};
}

constexpr bool is_quantized(DType type) {
  return format_of(type).code_bits > 0;
}

constexpr int code_bytes(Format format) {
  return format.code_bits * kChunk / 8;
}
constexpr int high_bytes(Format format) {
  return format.high_bits * kChunk / 8;
}
constexpr int scale_bytes(Format format) {
  switch (format.scale) {
    case ScaleKind::f16_and_addend:
      return 4;
    case ScaleKind::e8m0:
    case ScaleKind::super_signed_32:
      return 1;
    case ScaleKind::f16:
    case ScaleKind::super_32:
    case ScaleKind::super_signed_16:
    case ScaleKind::super_16:
      break;
  }
  return 2;
}
// Of kChunksPerSuper chunks.
constexpr int super_bytes(Format format) {
  switch (format.scale) {
    case ScaleKind::super_32:
    case ScaleKind::super_16:
      return 4;
    case ScaleKind::super_signed_32:
    case ScaleKind::super_signed_16:
      return 2;
    case ScaleKind::f16:
    case ScaleKind::f16_and_addend:
    case ScaleKind::e8m0:
      break;
  }
  return 0;
}

// Whether values have an addend. Without one nothing is added, since -0 + 0 would lose its sign.
constexpr bool has_addend(Format format) {
  return format.scale == ScaleKind::f16_and_addend || format.scale == ScaleKind::super_32 ||
         format.scale == ScaleKind::super_16;
}

// The planes of a matrix; pointers into device memory, or into host memory in a test.
struct QuantizedView {
  const uint8_t* codes;
  const uint8_t* high;
  const uint8_t* scales;
  const uint8_t* super;
  int64_t rows;
  int64_t chunks;  // of a row
};

// A chunk as the kernels use it: words of four codes, without the offset taken off, or of four
// values where the format has a table; then value = scale[half] * (code - offset) + addend[half].
struct Chunk {
  uint32_t words[8];
  float scale[2];
  float addend[2];
};

// The four values that the nibbles in the bytes of `codes` stand for.
template <Lookup lookup>
OCTAVO_HOST_DEVICE inline uint32_t look_up(uint32_t codes) {
  // gguf::kIq4Values and gguf::kMxfp4Values, four a word.
  constexpr uint32_t kIq4[4] = {0xBFAD9881u, 0xF6EADDCFu, 0x26190D01u, 0x71594535u};
  constexpr uint32_t kMxfp4[4] = {0x03020100u, 0x0C080604u, 0xFDFEFF00u, 0xF4F8FAFCu};
  const uint32_t* table = lookup == Lookup::iq4 ? kIq4 : kMxfp4;
#ifdef __CUDA_ARCH__
  // The low three bits of each code choose one of eight bytes, bit 3 which eight.
  const uint32_t pairs = codes | codes >> 4;
  const uint32_t selector = __byte_perm(pairs, 0, 0x4420) & 0x7777u;
  const uint32_t low = __byte_perm(table[0], table[1], selector);
  const uint32_t high = __byte_perm(table[2], table[3], selector);
  const uint32_t mask = (codes >> 3 & 0x01010101u) * 0xFFu;
  return (low & ~mask) | (high & mask);
#else
  uint32_t out = 0;
  for (uint32_t byte = 0; byte < 4; ++byte) {
    const uint32_t code = codes >> (8 * byte) & 15;
    out |= (table[code / 4] >> (8 * (code % 4)) & 0xFF) << (8 * byte);
  }
  return out;
#endif
}

// Reads an aligned `Word`.
template <class Word>
OCTAVO_HOST_DEVICE inline Word load_word(const uint8_t* from) {
#ifdef __CUDA_ARCH__
  return __ldg(reinterpret_cast<const Word*>(from));
#else
  Word word;
  std::memcpy(&word, from, sizeof(word));
  return word;
#endif
}

template <int count>
struct Words {
  uint32_t word[count];
};

// `count` words at an address that is a multiple of their size, up to 16 bytes.
template <int count>
OCTAVO_HOST_DEVICE inline Words<count> load_words(const uint8_t* from) {
  Words<count> out;
#ifdef __CUDA_ARCH__
  if constexpr (count >= 4) {
    for (int i = 0; i < count; i += 4) {
      const uint4 four = __ldg(reinterpret_cast<const uint4*>(from) + i / 4);
      out.word[i] = four.x;
      out.word[i + 1] = four.y;
      out.word[i + 2] = four.z;
      out.word[i + 3] = four.w;
    }
  } else if constexpr (count == 2) {
    const uint2 two = __ldg(reinterpret_cast<const uint2*>(from));
    out.word[0] = two.x;
    out.word[1] = two.y;
  } else {
    out.word[0] = __ldg(reinterpret_cast<const uint32_t*>(from));
  }
#else
  std::memcpy(out.word, from, sizeof(out.word));
#endif
  return out;
}

// A chunk as it lies in the planes, loaded and not yet decoded: a kernel loads chunks ahead of
// their use in this form, which takes the fewest registers.
template <DType type>
struct RawChunk {
  static constexpr Format kFormat = format_of(type);
  Words<code_bytes(kFormat) / 4> codes;
  Words<kFormat.high_bits == 0 ? 1 : high_bytes(kFormat) / 4> high;  // 0 without that plane
  uint32_t scales;                                                   // scale_bytes of it
  uint32_t super;                                                    // super_bytes of it
};

// Loads 1, 2 or 4 aligned bytes.
template <int bytes>
OCTAVO_HOST_DEVICE inline uint32_t load_bytes(const uint8_t* from) {
  if constexpr (bytes == 1) {
    return load_word<uint8_t>(from);
  } else if constexpr (bytes == 2) {
    return load_word<uint16_t>(from);
  } else {
    return load_word<uint32_t>(from);
  }
}

// Chunk `index` = row * chunks + chunk of the row.
template <DType type>
OCTAVO_HOST_DEVICE inline RawChunk<type> load_chunk(const QuantizedView& weight, int64_t index) {
  constexpr Format kFormat = format_of(type);
  RawChunk<type> raw{};
  raw.codes = load_words<code_bytes(kFormat) / 4>(weight.codes + index * code_bytes(kFormat));
  if constexpr (kFormat.high_bits > 0) {
    raw.high = load_words<high_bytes(kFormat) / 4>(weight.high + index * high_bytes(kFormat));
  }
  constexpr int kScaleBytes = scale_bytes(kFormat);
  raw.scales = load_bytes<kScaleBytes>(weight.scales + index * kScaleBytes);
  if constexpr (super_bytes(kFormat) > 0) {
    // Every row has whole groups of chunks where there is a super plane.
    constexpr int kSuperBytes = super_bytes(kFormat);
    raw.super = load_bytes<kSuperBytes>(weight.super + index / kChunksPerSuper * kSuperBytes);
  }
  return raw;
}

template <DType type>
OCTAVO_HOST_DEVICE inline void decode_codes(const RawChunk<type>& raw, Chunk& out) {
  constexpr Format kFormat = format_of(type);
  for (int j = 0; j < 8; ++j) {
    if constexpr (kFormat.code_bits == 8) {
      out.words[j] = raw.codes.word[j];
    } else if constexpr (kFormat.code_bits == 4) {
      out.words[j] = raw.codes.word[j % 4] >> (j < 4 ? 0 : 4) & 0x0F0F0F0Fu;
    } else {
      out.words[j] = raw.codes.word[j / 4] >> (2 * (j % 4)) & 0x03030303u;
    }
  }
  if constexpr (kFormat.high_bits > 0) {
    for (int j = 0; j < 8; ++j) {
      const uint32_t bits =
          kFormat.high_bits == 1
              ? raw.high.word[0] >> j & 0x01010101u
              : raw.high.word[kFormat.high_bits == 1 ? 0 : j / 4] >> (2 * (j % 4)) & 0x03030303u;
      out.words[j] |= bits << kFormat.code_bits;
    }
  }
  if constexpr (kFormat.lookup != Lookup::none) {
    for (uint32_t& word : out.words) word = look_up<kFormat.lookup>(word);
  }
}

template <DType type>
OCTAVO_HOST_DEVICE inline void decode_scales(const RawChunk<type>& raw, Chunk& out) {
  constexpr ScaleKind kKind = format_of(type).scale;
  // The float of the f16 in the low half of a word.
  const auto low_f16 = [](uint32_t word) { return float_of_f16(static_cast<uint16_t>(word)); };
  out.addend[0] = out.addend[1] = 0.0F;
  if constexpr (kKind == ScaleKind::f16) {
    out.scale[0] = out.scale[1] = low_f16(raw.scales);
  } else if constexpr (kKind == ScaleKind::f16_and_addend) {
    out.scale[0] = out.scale[1] = low_f16(raw.scales);
    out.addend[0] = out.addend[1] = low_f16(raw.scales >> 16);
  } else if constexpr (kKind == ScaleKind::e8m0) {
    out.scale[0] = out.scale[1] = power_of_two(static_cast<int>(raw.scales) - 128);
  } else if constexpr (kKind == ScaleKind::super_32) {
    out.scale[0] = out.scale[1] = low_f16(raw.super) * static_cast<float>(raw.scales & 0xFF);
    out.addend[0] = out.addend[1] =
        -(low_f16(raw.super >> 16) * static_cast<float>(raw.scales >> 8));
  } else if constexpr (kKind == ScaleKind::super_signed_32) {
    out.scale[0] = out.scale[1] =
        low_f16(raw.super) * static_cast<float>(static_cast<int8_t>(raw.scales));
  } else if constexpr (kKind == ScaleKind::super_signed_16) {
    const float d = low_f16(raw.super);
    out.scale[0] = d * static_cast<float>(static_cast<int8_t>(raw.scales & 0xFF));
    out.scale[1] = d * static_cast<float>(static_cast<int8_t>(raw.scales >> 8));
  } else {
    const float d = low_f16(raw.super);
    const float dmin = low_f16(raw.super >> 16);
    for (int half = 0; half < 2; ++half) {
      const uint32_t byte = raw.scales >> (8 * half) & 0xFF;
      out.scale[half] = d * static_cast<float>(byte & 15);
      out.addend[half] = -(dmin * static_cast<float>(byte >> 4));
    }
  }
}

template <DType type>
OCTAVO_HOST_DEVICE inline Chunk decode_chunk(const RawChunk<type>& raw) {
  Chunk out;
  decode_codes(raw, out);
  decode_scales(raw, out);
  return out;
}

template <DType type>
OCTAVO_HOST_DEVICE inline Chunk decode_chunk(const QuantizedView& weight, int64_t index) {
  return decode_chunk(load_chunk<type>(weight, index));
}

// Value `column` (0 to 31) of a chunk.
template <DType type>
OCTAVO_HOST_DEVICE inline float chunk_value(const Chunk& chunk, int column) {
  constexpr Format kFormat = format_of(type);
  const uint32_t byte = chunk.words[column / 4] >> (8 * (column % 4)) & 0xFF;
  const bool is_signed = kFormat.lookup != Lookup::none || kFormat.code_bits == 8;
  const int code = is_signed ? static_cast<int>(static_cast<int8_t>(byte))
                             : static_cast<int>(byte) - kFormat.offset;
  const int half = column / 16;
  const float product = round_product(chunk.scale[half], static_cast<float>(code));
  if constexpr (has_addend(kFormat)) {
    return product + chunk.addend[half];
  } else {
    return product;
  }
}

}  // namespace octavo::cuda
