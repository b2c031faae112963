#include "backend/cpu/packed_weight.h"

#include <sys/mman.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "gguf/blocks.h"

namespace octavo::cpu {
namespace {

// --- scales ---

// Row `lane` of 16 values that lie side by side at `to`.
template <class T>
void put(std::byte* to, size_t lane, T value) {
  std::memcpy(to + lane * sizeof(T), &value, sizeof(T));
}

// --- codes ---

using Words = std::array<uint32_t, kChunk / 4>;

// The bits [bit, bit + width) of the bytes of `count` words from `first` on, one word above the
// other.
uint32_t plane(const Words& words, size_t first, size_t count, int bit, int width) {
  const uint32_t mask = ((1u << width) - 1) * 0x01010101u;
  uint32_t out = 0;
  for (size_t i = 0; i < count; ++i) {
    out |= (words[first + i] >> bit & mask) << (static_cast<int>(i) * width);
  }
  return out;
}

// Writes the 32 codes of row `lane` into a chunk.
template <int bits>
void put_codes(std::byte* chunk, size_t lane, const std::array<uint8_t, kChunk>& codes) {
  constexpr size_t kLine = 64;
  Words words;
  std::memcpy(words.data(), codes.data(), sizeof(words));
  const auto put_line = [&](size_t line, uint32_t word) { put(chunk + line * kLine, lane, word); };
  if constexpr (bits == 8) {
    for (size_t j = 0; j < 8; ++j) put_line(j, words[j]);
  } else if constexpr (bits >= 4) {
    for (size_t j = 0; j < 4; ++j) {
      put_line(j, (words[j] & 0x0F0F0F0Fu) | (words[j + 4] & 0x0F0F0F0Fu) << 4);
    }
    if constexpr (bits == 5) put_line(4, plane(words, 0, 8, 4, 1));
    if constexpr (bits == 6) {
      put_line(4, plane(words, 0, 4, 4, 2));
      put_line(5, plane(words, 4, 4, 4, 2));
    }
  } else {
    put_line(0, plane(words, 0, 4, 0, 2));
    put_line(1, plane(words, 4, 4, 0, 2));
    if constexpr (bits == 3) put_line(2, plane(words, 0, 8, 2, 1));
  }
}

// The codes of 16 bytes of nibbles in halves (gguf/blocks.h).
void read_nibbles(const uint8_t* from, std::array<uint8_t, kChunk>& codes) {
  for (size_t j = 0; j < 16; ++j) {
    codes[j] = from[j] & 0x0F;
    codes[j + 16] = from[j] >> 4;
  }
}

// Adds the fifth bits of Q5_0 and Q5_1.
void read_fifth_bits(const uint8_t* from, std::array<uint8_t, kChunk>& codes) {
  for (size_t j = 0; j < kChunk; ++j) {
    codes[j] = static_cast<uint8_t>(codes[j] | (from[j / 8] >> (j % 8) & 1) << 4);
  }
}

// --- formats: what a block of the file becomes ---
//
// kBits of a code; kScaleBytes that a block of 16 rows takes; codes() of a chunk of the block;
// scales() of the block.

using Codes = std::array<uint8_t, kChunk>;

struct FormatQ4_0 {
  using Block = gguf::BlockQ4_0;
  static constexpr int kBits = 4;
  static constexpr size_t kScaleBytes = 32;
  static void codes(const Block& block, size_t, Codes& out) { read_nibbles(block.qs, out); }
  static void scales(const Block& block, size_t lane, std::byte* to) { put(to, lane, block.d); }
};

struct FormatQ4_1 {
  using Block = gguf::BlockQ4_1;
  static constexpr int kBits = 4;
  static constexpr size_t kScaleBytes = 64;
  static void codes(const Block& block, size_t, Codes& out) { read_nibbles(block.qs, out); }
  static void scales(const Block& block, size_t lane, std::byte* to) {
    put(to, lane, block.d);
    put(to + 32, lane, block.m);
  }
};

struct FormatQ5_0 {
  using Block = gguf::BlockQ5_0;
  static constexpr int kBits = 5;
  static constexpr size_t kScaleBytes = 32;
  static void codes(const Block& block, size_t, Codes& out) {
    read_nibbles(block.qs, out);
    read_fifth_bits(block.qh, out);
  }
  static void scales(const Block& block, size_t lane, std::byte* to) { put(to, lane, block.d); }
};

struct FormatQ5_1 {
  using Block = gguf::BlockQ5_1;
  static constexpr int kBits = 5;
  static constexpr size_t kScaleBytes = 64;
  static void codes(const Block& block, size_t, Codes& out) {
    read_nibbles(block.qs, out);
    read_fifth_bits(block.qh, out);
  }
  static void scales(const Block& block, size_t lane, std::byte* to) {
    put(to, lane, block.d);
    put(to + 32, lane, block.m);
  }
};

struct FormatQ8_0 {
  using Block = gguf::BlockQ8_0;
  static constexpr int kBits = 8;
  static constexpr size_t kScaleBytes = 32;
  static void codes(const Block& block, size_t, Codes& out) {
    std::memcpy(out.data(), block.qs, out.size());
  }
  static void scales(const Block& block, size_t lane, std::byte* to) { put(to, lane, block.d); }
};

struct FormatIQ4_NL {
  using Block = gguf::BlockIQ4_NL;
  static constexpr int kBits = 4;
  static constexpr size_t kScaleBytes = 32;
  static void codes(const Block& block, size_t, Codes& out) { read_nibbles(block.qs, out); }
  static void scales(const Block& block, size_t lane, std::byte* to) { put(to, lane, block.d); }
};

struct FormatMXFP4 {
  using Block = gguf::BlockMXFP4;
  static constexpr int kBits = 4;
  static constexpr size_t kScaleBytes = 16;
  static void codes(const Block& block, size_t, Codes& out) { read_nibbles(block.qs, out); }
  static void scales(const Block& block, size_t lane, std::byte* to) { put(to, lane, block.e); }
};

// The two-bit codes of Q2_K and Q3_K.
void read_pairs(const uint8_t* qs, size_t chunk, Codes& out) {
  const uint8_t* from = qs + 32 * (chunk / 4);
  const size_t bit = 2 * (chunk % 4);
  for (size_t j = 0; j < kChunk; ++j) out[j] = static_cast<uint8_t>(from[j] >> bit & 3);
}

struct FormatQ2_K {
  using Block = gguf::BlockQ2_K;
  static constexpr int kBits = 2;
  static constexpr size_t kScaleBytes = 64 + 16 * 16;
  static void codes(const Block& block, size_t chunk, Codes& out) {
    read_pairs(block.qs, chunk, out);
  }
  static void scales(const Block& block, size_t lane, std::byte* to) {
    put(to, lane, block.d);
    put(to + 32, lane, block.dmin);
    for (size_t g = 0; g < 16; ++g) put(to + 64 + 16 * g, lane, block.scales[g]);
  }
};

struct FormatQ3_K {
  using Block = gguf::BlockQ3_K;
  static constexpr int kBits = 3;
  static constexpr size_t kScaleBytes = 32 + 16 * 16;
  static void codes(const Block& block, size_t chunk, Codes& out) {
    read_pairs(block.qs, chunk, out);
    for (size_t j = 0; j < kChunk; ++j) {
      out[j] = static_cast<uint8_t>(out[j] | (block.hmask[j] >> chunk & 1) << 2);
    }
  }
  static void scales(const Block& block, size_t lane, std::byte* to) {
    put(to, lane, block.d);
    for (size_t g = 0; g < 16; ++g) {
      const int low = g < 8 ? block.scales[g] & 0x0F : block.scales[g - 8] >> 4;
      const int high = block.scales[8 + g % 4] >> (2 * (g / 4)) & 3;
      put(to + 32 + 16 * g, lane, static_cast<int8_t>((low | high << 4) - 32));
    }
  }
};

// The low four bits of the codes of Q4_K and Q5_K.
void read_super_nibbles(const uint8_t* qs, size_t chunk, Codes& out) {
  const uint8_t* from = qs + 32 * (chunk / 2);
  const size_t bit = 4 * (chunk % 2);
  for (size_t j = 0; j < kChunk; ++j) out[j] = static_cast<uint8_t>(from[j] >> bit & 0x0F);
}

// The scales of Q4_K and Q5_K, which have the same fields.
template <class Block>
void put_scales_and_minima(const Block& block, size_t lane, std::byte* to) {
  put(to, lane, block.d);
  put(to + 32, lane, block.dmin);
  for (size_t g = 0; g < 8; ++g) {
    const gguf::ScaleAndMin both = gguf::scale_and_min(block.scales, g);
    put(to + 64 + 16 * g, lane, both.scale);
    put(to + 64 + 128 + 16 * g, lane, both.min);
  }
}

struct FormatQ4_K {
  using Block = gguf::BlockQ4_K;
  static constexpr int kBits = 4;
  static constexpr size_t kScaleBytes = 64 + 2 * 8 * 16;
  static void codes(const Block& block, size_t chunk, Codes& out) {
    read_super_nibbles(block.qs, chunk, out);
  }
  static void scales(const Block& block, size_t lane, std::byte* to) {
    put_scales_and_minima(block, lane, to);
  }
};

struct FormatQ5_K {
  using Block = gguf::BlockQ5_K;
  static constexpr int kBits = 5;
  static constexpr size_t kScaleBytes = 64 + 2 * 8 * 16;
  static void codes(const Block& block, size_t chunk, Codes& out) {
    read_super_nibbles(block.qs, chunk, out);
    for (size_t j = 0; j < kChunk; ++j) {
      out[j] = static_cast<uint8_t>(out[j] | (block.qh[j] >> chunk & 1) << 4);
    }
  }
  static void scales(const Block& block, size_t lane, std::byte* to) {
    put_scales_and_minima(block, lane, to);
  }
};

struct FormatQ6_K {
  using Block = gguf::BlockQ6_K;
  static constexpr int kBits = 6;
  static constexpr size_t kScaleBytes = 32 + 16 * 16;
  static void codes(const Block& block, size_t chunk, Codes& out) {
    const size_t h = chunk / 4;
    const size_t k = chunk % 4;
    const uint8_t* low = block.ql + 64 * h + 32 * (k % 2);
    const uint8_t* high = block.qh + 32 * h;
    for (size_t j = 0; j < kChunk; ++j) {
      const int low_bits = low[j] >> (4 * (k / 2)) & 0x0F;
      out[j] = static_cast<uint8_t>(low_bits | (high[j] >> (2 * k) & 3) << 4);
    }
  }
  static void scales(const Block& block, size_t lane, std::byte* to) {
    put(to, lane, block.d);
    for (size_t g = 0; g < 16; ++g) put(to + 32 + 16 * g, lane, block.scales[g]);
  }
};

struct FormatIQ4_XS {
  using Block = gguf::BlockIQ4_XS;
  static constexpr int kBits = 4;
  static constexpr size_t kScaleBytes = 32 + 8 * 16;
  static void codes(const Block& block, size_t chunk, Codes& out) {
    read_nibbles(block.qs + 16 * chunk, out);
  }
  static void scales(const Block& block, size_t lane, std::byte* to) {
    put(to, lane, block.d);
    for (size_t g = 0; g < 8; ++g) {
      const int low = block.scales_l[g / 2] >> (4 * (g % 2)) & 0x0F;
      const int high = block.scales_h >> (2 * g) & 3;
      put(to + 32 + 16 * g, lane, static_cast<int8_t>((low | high << 4) - 32));
    }
  }
};

// --- groups ---

// Packs `rows` rows (at most 16) that start at `from` into the zeroed group at `to`.
template <class Format>
void pack_blocks(const PackedView& view, size_t rows, const std::byte* from, std::byte* to) {
  using Block = typename Format::Block;
  constexpr size_t kChunkBytes = Format::kBits * 64;
  const DTypeInfo& type = info(view.type);
  const size_t chunks_per_block = type.block_elements / kChunk;
  const size_t blocks = view.columns / type.block_elements;
  for (size_t b = 0; b < blocks; ++b) {
    std::byte* scales = to + b * (Format::kScaleBytes + chunks_per_block * kChunkBytes);
    std::byte* chunks = scales + Format::kScaleBytes;
    for (size_t lane = 0; lane < rows; ++lane) {
      Block block;
      std::memcpy(&block, from + (lane * blocks + b) * sizeof(Block), sizeof(Block));
      for (size_t c = 0; c < chunks_per_block; ++c) {
        Codes codes;
        Format::codes(block, c, codes);
        put_codes<Format::kBits>(chunks + c * kChunkBytes, lane, codes);
      }
      Format::scales(block, lane, scales);
    }
  }
}

// The same for a float type, whose values have the size of T.
template <class T>
void pack_floats(const PackedView& view, size_t rows, const std::byte* from, std::byte* to) {
  for (size_t column = 0; column < view.columns; ++column) {
    for (size_t lane = 0; lane < rows; ++lane) {
      std::memcpy(to + (column * kGroupRows + lane) * sizeof(T),
                  from + (lane * view.columns + column) * sizeof(T), sizeof(T));
    }
  }
}

struct Packing {
  size_t block_bytes;  // of 16 rows, for a block of columns
  void (*pack)(const PackedView& view, size_t rows, const std::byte* from, std::byte* to);
};

template <class Format>
Packing packing_of_blocks(DType type) {
  const size_t code_bytes = info(type).block_elements / kChunk * Format::kBits * 64;
  return {Format::kScaleBytes + code_bytes, pack_blocks<Format>};
}

Packing packing(DType type) {
  switch (type) {
    case DType::f32:
      return {kGroupRows * 4, pack_floats<uint32_t>};
    case DType::f16:
    case DType::bf16:
      return {kGroupRows * 2, pack_floats<uint16_t>};
    case DType::q4_0:
      return packing_of_blocks<FormatQ4_0>(type);
    case DType::q4_1:
      return packing_of_blocks<FormatQ4_1>(type);
    case DType::q5_0:
      return packing_of_blocks<FormatQ5_0>(type);
    case DType::q5_1:
      return packing_of_blocks<FormatQ5_1>(type);
    case DType::q8_0:
      return packing_of_blocks<FormatQ8_0>(type);
    case DType::q2_k:
      return packing_of_blocks<FormatQ2_K>(type);
    case DType::q3_k:
      return packing_of_blocks<FormatQ3_K>(type);
    case DType::q4_k:
      return packing_of_blocks<FormatQ4_K>(type);
    case DType::q5_k:
      return packing_of_blocks<FormatQ5_K>(type);
    case DType::q6_k:
      return packing_of_blocks<FormatQ6_K>(type);
    case DType::iq4_nl:
      return packing_of_blocks<FormatIQ4_NL>(type);
    case DType::iq4_xs:
      return packing_of_blocks<FormatIQ4_XS>(type);
    case DType::mxfp4:
      return packing_of_blocks<FormatMXFP4>(type);
  }
  OCTAVO_CHECK(false, "no packing for type {}", static_cast<int>(type));
  return {};
}

const int8_t* value_table(DType type) {
  if (type == DType::iq4_nl || type == DType::iq4_xs) return gguf::kIq4Values.data();
  if (type == DType::mxfp4) return gguf::kMxfp4Values.data();
  return nullptr;
}

constexpr size_t kCacheLine = 64;
constexpr size_t kHugePage = size_t{2} << 20;

constexpr size_t round_up(size_t value, size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

Result<PackedWeight> PackedWeight::create(DType type, size_t rows, size_t columns) {
  const DTypeInfo& type_info = info(type);
  if (rows == 0 || columns == 0 || columns % type_info.block_elements != 0) {
    return invalid_input("a {} matrix cannot have {} rows of {} values: a block is {} values",
                         type_info.name, rows, columns, type_info.block_elements);
  }
  // So large that nothing below can overflow, and far beyond any model.
  constexpr size_t kMaxElements = size_t{1} << 48;
  if (rows > kMaxElements || columns > kMaxElements / rows) {
    return invalid_input("a matrix of {} rows of {} values is too large", rows, columns);
  }
  const Packing how = packing(type);
  const size_t blocks = columns / type_info.block_elements;
  PackedWeight out;
  out.view_.rows = rows;
  out.view_.columns = columns;
  out.view_.type = type;
  out.view_.value_table = value_table(type);
  out.view_.group_bytes = round_up(blocks * how.block_bytes, kCacheLine);
  // Large weights are read from end to end for every token; huge pages spare the address look-ups.
  const bool large = out.bytes() >= 2 * kHugePage;
  const size_t size = round_up(out.bytes(), large ? kHugePage : kCacheLine);
  void* memory = std::aligned_alloc(large ? kHugePage : kCacheLine, size);
  if (memory == nullptr) {
    return resource_error("no memory for {} MiB of weights", size >> 20);
  }
  if (large) static_cast<void>(madvise(memory, size, MADV_HUGEPAGE));  // only a hint
  out.memory_.reset(static_cast<std::byte*>(memory));
  out.view_.data = out.memory_.get();
  return out;
}

void PackedWeight::pack_group(size_t group, const std::byte* tensor) {
  OCTAVO_CHECK(group < groups(), "group {} of {}", group, groups());
  const size_t first = group * kGroupRows;
  const size_t rows = view_.rows - first < kGroupRows ? view_.rows - first : kGroupRows;
  std::byte* to = memory_.get() + group * view_.group_bytes;
  std::memset(to, 0, view_.group_bytes);
  const std::byte* from = tensor + first * row_bytes(view_.type, view_.columns);
  packing(view_.type).pack(view_, rows, from, to);
}

}  // namespace octavo::cpu
