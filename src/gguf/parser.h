// Reads one GGUF file from bytes in memory and checks everything it says.
//
// Nothing in the file is believed before it is compared with the bytes that are there: a count is
// multiplied by the smallest size of its element and must fit what is left of the file before
// anything is allocated. So memory use is at most about 8 times the size of the metadata.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "gguf/file.h"
#include "gguf/metadata.h"
#include "octavo/result.h"

namespace octavo::gguf {

// The limits on what a file may hold.
inline constexpr uint64_t kMaxKeyBytes = 65535;           // the specification's
inline constexpr uint64_t kMaxTensorNameBytes = 64;       // the specification's
inline constexpr uint32_t kMaxDims = 4;                   // the specification's
inline constexpr uint64_t kMaxKeys = 1u << 16;            // models have about 50
inline constexpr uint64_t kMaxArrayLength = 1u << 24;     // vocabularies have about 2^18
inline constexpr uint64_t kMaxTensors = 1u << 18;         // models have up to about 2^15
inline constexpr uint64_t kMaxAlignmentBytes = 1u << 20;  // files have 32
inline constexpr uint64_t kDefaultAlignmentBytes = 32;

struct Part {
  uint32_t version = 0;
  Metadata metadata;
  std::vector<TensorInfo> tensors;  // `part` is left 0; names may repeat
};

// `name` is the path, or what stands for it in errors. The tensors' data point into `bytes`.
Result<Part> parse_part(const std::string& name, const std::byte* bytes, size_t size);

}  // namespace octavo::gguf
