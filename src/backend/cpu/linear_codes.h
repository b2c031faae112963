// How the kernels read the codes and scales of packed weights: one struct for each layout.
//
// The codes of a chunk (32 columns of 16 rows) become eight "lines" of 64 bytes: line j holds, for
// each row, the four codes of columns 4j to 4j + 3. PackedWeight documents where their bits lie.
// A codes struct has
//   kBytes    of a chunk
//   kTable    whether unpack() looks codes up in the (prepared) table it is given
//   kSigned   whether the lines are for dot_signed (prepared) or dot_u7
//   kOffset   what is subtracted from each code to give its value; a power of two, or 0
//   unpack()  the eight lines
// and a scales struct
//   kHalves   whether columns 0 to 15 and 16 to 31 have scales of their own
//   kMinimum  whether value = scale * code - minimum rather than scale * code
//   kChunks   chunks of a block, and kBytes of its scales
//   read()    the scales of a chunk of the block
#pragma once

#include "backend/cpu/linear.h"
#include "backend/cpu/simd.h"

namespace octavo::cpu::OCTAVO_ISA {

struct Lines {
  U8x64 line[8];
};

// --- codes ---

OCTAVO_INLINE U8x64 load_line(const std::byte* from, int line) {
  return load_bytes(from + 64 * line);
}

// Moves the bits of every byte from position `from` to position `to` and masks them.
template <int from, int to>
OCTAVO_INLINE U8x64 move_bits(U8x64 a, U8x64 mask) {
  if constexpr (from > to) {
    return shift_right_and<from - to>(a, mask);
  } else if constexpr (from < to) {
    return shift_left_and<to - from>(a, mask);
  } else {
    return bit_and(a, mask);
  }
}

// Puts the bits at `first_bit`, first_bit + width, ... of the bytes of a plane on top (at bit `to`)
// of four lines.
template <int first_bit, int width, int to>
OCTAVO_INLINE void add_plane(U8x64 plane, U8x64* lines) {
  const U8x64 mask = broadcast_byte(static_cast<uint8_t>(((1 << width) - 1) << to));
  lines[0] = bit_or(lines[0], move_bits<first_bit, to>(plane, mask));
  lines[1] = bit_or(lines[1], move_bits<first_bit + width, to>(plane, mask));
  lines[2] = bit_or(lines[2], move_bits<first_bit + 2 * width, to>(plane, mask));
  lines[3] = bit_or(lines[3], move_bits<first_bit + 3 * width, to>(plane, mask));
}

// The low four bits of all codes, from four lines of two nibbles.
OCTAVO_INLINE Lines unpack_nibbles(const std::byte* from) {
  const U8x64 low = broadcast_byte(0x0F);
  Lines out;
  for (int j = 0; j < 4; ++j) {
    const U8x64 both = load_line(from, j);
    out.line[j] = bit_and(both, low);
    out.line[j + 4] = shift_right_and<4>(both, low);
  }
  return out;
}

// The low two bits of all codes, from two lines of four each.
OCTAVO_INLINE Lines unpack_pairs(const std::byte* from) {
  const U8x64 low = broadcast_byte(0x03);
  Lines out;
  for (int half = 0; half < 2; ++half) {
    const U8x64 four = load_line(from, half);
    out.line[4 * half] = bit_and(four, low);
    out.line[4 * half + 1] = shift_right_and<2>(four, low);
    out.line[4 * half + 2] = shift_right_and<4>(four, low);
    out.line[4 * half + 3] = shift_right_and<6>(four, low);
  }
  return out;
}

struct Codes2 {
  static constexpr size_t kBytes = 128;
  static constexpr bool kTable = false;
  static constexpr bool kSigned = false;
  static constexpr int kOffset = 0;
  static OCTAVO_INLINE Lines unpack(const std::byte* from, U8x64) { return unpack_pairs(from); }
};

template <int offset>
struct Codes3 {
  static constexpr size_t kBytes = 192;
  static constexpr bool kTable = false;
  static constexpr bool kSigned = false;
  static constexpr int kOffset = offset;
  static OCTAVO_INLINE Lines unpack(const std::byte* from, U8x64) {
    Lines out = unpack_pairs(from);
    const U8x64 high = load_line(from, 2);
    add_plane<0, 1, 2>(high, out.line);
    add_plane<4, 1, 2>(high, out.line + 4);
    return out;
  }
};

template <int offset>
struct Codes4 {
  static constexpr size_t kBytes = 256;
  static constexpr bool kTable = false;
  static constexpr bool kSigned = false;
  static constexpr int kOffset = offset;
  static OCTAVO_INLINE Lines unpack(const std::byte* from, U8x64) { return unpack_nibbles(from); }
};

// Four-bit codes that stand for the signed values of a table.
struct Codes4Table {
  static constexpr size_t kBytes = 256;
  static constexpr bool kTable = true;
  static constexpr bool kSigned = true;
  static constexpr int kOffset = 0;
  static OCTAVO_INLINE Lines unpack(const std::byte* from, U8x64 prepared_table) {
    Lines out = unpack_nibbles(from);
    for (U8x64& line : out.line) line = look_up(prepared_table, line);
    return out;
  }
};

template <int offset>
struct Codes5 {
  static constexpr size_t kBytes = 320;
  static constexpr bool kTable = false;
  static constexpr bool kSigned = false;
  static constexpr int kOffset = offset;
  static OCTAVO_INLINE Lines unpack(const std::byte* from, U8x64) {
    Lines out = unpack_nibbles(from);
    const U8x64 high = load_line(from, 4);
    add_plane<0, 1, 4>(high, out.line);
    add_plane<4, 1, 4>(high, out.line + 4);
    return out;
  }
};

template <int offset>
struct Codes6 {
  static constexpr size_t kBytes = 384;
  static constexpr bool kTable = false;
  static constexpr bool kSigned = false;
  static constexpr int kOffset = offset;
  static OCTAVO_INLINE Lines unpack(const std::byte* from, U8x64) {
    Lines out = unpack_nibbles(from);
    add_plane<0, 2, 4>(load_line(from, 4), out.line);
    add_plane<0, 2, 4>(load_line(from, 5), out.line + 4);
    return out;
  }
};

struct Codes8 {
  static constexpr size_t kBytes = 512;
  static constexpr bool kTable = false;
  static constexpr bool kSigned = true;
  static constexpr int kOffset = 0;
  static OCTAVO_INLINE Lines unpack(const std::byte* from, U8x64) {
    Lines out;
    for (int j = 0; j < 8; ++j) out.line[j] = prepare_signed(load_line(from, j));
    return out;
  }
};

// --- scales ---

// [0] is for the whole chunk, or for its first half where there are two.
struct ChunkScales {
  F32x16 scale[2];
  F32x16 negative_minimum[2];
};

OCTAVO_INLINE F32x16 load_f16_at(const std::byte* from) {
  return load_f16(reinterpret_cast<const uint16_t*>(from));
}
OCTAVO_INLINE I32x16 load_u8_at(const std::byte* from) {
  return load_u8(reinterpret_cast<const uint8_t*>(from));
}
OCTAVO_INLINE I32x16 load_i8_at(const std::byte* from) {
  return load_i8(reinterpret_cast<const int8_t*>(from));
}
OCTAVO_INLINE F32x16 negative(F32x16 a) {
  return sub(zero(), a);
}

// An f16 scale per chunk.
struct ScaleF16 {
  static constexpr bool kHalves = false;
  static constexpr bool kMinimum = false;
  static constexpr size_t kChunks = 1;
  static constexpr size_t kBytes = 32;
  static OCTAVO_INLINE ChunkScales read(const std::byte* from, size_t) {
    ChunkScales out;
    out.scale[0] = load_f16_at(from);
    return out;
  }
};

// An f16 scale and an f16 m per chunk, where value = scale * code + m.
struct ScaleAndAddendF16 {
  static constexpr bool kHalves = false;
  static constexpr bool kMinimum = true;
  static constexpr size_t kChunks = 1;
  static constexpr size_t kBytes = 64;
  static OCTAVO_INLINE ChunkScales read(const std::byte* from, size_t) {
    ChunkScales out;
    out.scale[0] = load_f16_at(from);
    out.negative_minimum[0] = load_f16_at(from + 32);
    return out;
  }
};

// The exponent e of 2^(e - 128), a byte per chunk.
struct ScaleE8M0 {
  static constexpr bool kHalves = false;
  static constexpr bool kMinimum = false;
  static constexpr size_t kChunks = 1;
  static constexpr size_t kBytes = 16;
  static OCTAVO_INLINE ChunkScales read(const std::byte* from, size_t) {
    const F32x16 exponent = to_f32(load_u8_at(from));
    ChunkScales out;
    out.scale[0] = scale_by_power(broadcast(1.0f), sub(exponent, broadcast(128.0f)));
    return out;
  }
};

// Per 256 columns: f16 d, f16 dmin, and a byte of scale and a byte of minimum for each chunk.
struct ScaleSuper32 {
  static constexpr bool kHalves = false;
  static constexpr bool kMinimum = true;
  static constexpr size_t kChunks = 8;
  static constexpr size_t kBytes = 64 + 2 * 8 * 16;
  static OCTAVO_INLINE ChunkScales read(const std::byte* from, size_t chunk) {
    const std::byte* bytes = from + 64 + 16 * (chunk);
    ChunkScales out;
    out.scale[0] = mul(load_f16_at(from), to_f32(load_u8_at(bytes)));
    const F32x16 minimum = mul(load_f16_at(from + 32), to_f32(load_u8_at(bytes + 128)));
    out.negative_minimum[0] = negative(minimum);
    return out;
  }
};

// Per 256 columns: f16 d and a signed byte of scale for each chunk.
struct ScaleSuperSigned32 {
  static constexpr bool kHalves = false;
  static constexpr bool kMinimum = false;
  static constexpr size_t kChunks = 8;
  static constexpr size_t kBytes = 32 + 8 * 16;
  static OCTAVO_INLINE ChunkScales read(const std::byte* from, size_t chunk) {
    ChunkScales out;
    out.scale[0] = mul(load_f16_at(from), to_f32(load_i8_at(from + 32 + 16 * (chunk))));
    return out;
  }
};

// Per 256 columns: f16 d and a signed byte of scale for each half of a chunk.
struct ScaleSuperSigned16 {
  static constexpr bool kHalves = true;
  static constexpr bool kMinimum = false;
  static constexpr size_t kChunks = 8;
  static constexpr size_t kBytes = 32 + 16 * 16;
  static OCTAVO_INLINE ChunkScales read(const std::byte* from, size_t chunk) {
    const std::byte* bytes = from + 32 + 32 * (chunk);
    const F32x16 d = load_f16_at(from);
    ChunkScales out;
    out.scale[0] = mul(d, to_f32(load_i8_at(bytes)));
    out.scale[1] = mul(d, to_f32(load_i8_at(bytes + 16)));
    return out;
  }
};

// Per 256 columns: f16 d, f16 dmin, and for each half of a chunk a byte with the scale in its low
// and the minimum in its high half.
struct ScaleSuper16 {
  static constexpr bool kHalves = true;
  static constexpr bool kMinimum = true;
  static constexpr size_t kChunks = 8;
  static constexpr size_t kBytes = 64 + 16 * 16;
  static OCTAVO_INLINE ChunkScales read(const std::byte* from, size_t chunk) {
    const F32x16 d = load_f16_at(from);
    const F32x16 dmin = load_f16_at(from + 32);
    ChunkScales out;
    for (size_t half = 0; half < 2; ++half) {
      const I32x16 both = load_u8_at(from + 64 + 32 * (chunk) + 16 * half);
      out.scale[half] = mul(d, to_f32(bit_and(both, broadcast_i32(15))));
      out.negative_minimum[half] = negative(mul(dmin, to_f32(shift_right<4>(both))));
    }
    return out;
  }
};

}  // namespace octavo::cpu::OCTAVO_ISA
