// The element types of tensors: plain floats and the block-quantised types of GGUF.
//
// A quantised row is a sequence of blocks; a block holds `block_elements` values in `block_bytes`
// bytes. The byte layouts of the blocks are in gguf/blocks.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace octavo {

enum class DType : uint8_t {
  f32,
  f16,
  bf16,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  iq4_nl,
  iq4_xs,
  mxfp4,
};

struct DTypeInfo {
  DType type;
  std::string_view name;    // as GGUF tools print it: "F32", "Q4_K"
  uint32_t gguf_id;         // ggml_type number in the file
  uint32_t block_elements;  // values per block
  uint32_t block_bytes;
};

// In the order of DType.
inline constexpr std::array<DTypeInfo, 16> kDTypes = {{
    {DType::f32, "F32", 0, 1, 4},
    {DType::f16, "F16", 1, 1, 2},
    {DType::bf16, "BF16", 30, 1, 2},
    {DType::q4_0, "Q4_0", 2, 32, 18},
    {DType::q4_1, "Q4_1", 3, 32, 20},
    {DType::q5_0, "Q5_0", 6, 32, 22},
    {DType::q5_1, "Q5_1", 7, 32, 24},
    {DType::q8_0, "Q8_0", 8, 32, 34},
    {DType::q2_k, "Q2_K", 10, 256, 84},
    {DType::q3_k, "Q3_K", 11, 256, 110},
    {DType::q4_k, "Q4_K", 12, 256, 144},
    {DType::q5_k, "Q5_K", 13, 256, 176},
    {DType::q6_k, "Q6_K", 14, 256, 210},
    {DType::iq4_nl, "IQ4_NL", 20, 32, 18},
    {DType::iq4_xs, "IQ4_XS", 23, 256, 136},
    {DType::mxfp4, "MXFP4", 39, 32, 17},
}};

constexpr const DTypeInfo& info(DType type) {
  return kDTypes[static_cast<size_t>(type)];
}

// The type with this number in a GGUF file, or nothing when it is not supported.
constexpr std::optional<DType> dtype_from_gguf_id(uint32_t id) {
  for (const DTypeInfo& entry : kDTypes) {
    if (entry.gguf_id == id) return entry.type;
  }
  return std::nullopt;
}

// Bytes of a row of `elements` values; elements must be a multiple of block_elements.
constexpr size_t row_bytes(DType type, size_t elements) {
  return elements / info(type).block_elements * info(type).block_bytes;
}

}  // namespace octavo
