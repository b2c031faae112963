// Builds a GGUF version 3 file: metadata, then tensors, in the order in which they are added.
//
// Owns what is added. Not safe for use by two threads at once. Adding a key or tensor twice, or a
// tensor whose bytes do not fit its type and dimensions, is a mistake of the program (CHECK).
// Follows the GGUF specification (ggml/docs/gguf.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "gguf/value.h"
#include "octavo/result.h"

namespace octavo::gguf {

class Writer {
 public:
  // `alignment_bytes` is a power of two, at least 8; other than 32 it is written as
  // general.alignment.
  explicit Writer(uint32_t alignment_bytes = 32);

  void add(std::string_view key, const Value& value);
  void add_u32(std::string_view key, uint32_t value);
  void add_f32(std::string_view key, float value);
  void add_bool(std::string_view key, bool value);
  void add_string(std::string_view key, std::string_view value);
  void add_strings(std::string_view key, std::vector<std::string> values);
  void add_i32s(std::string_view key, const std::vector<int32_t>& values);
  void add_f32s(std::string_view key, const std::vector<float>& values);

  // `dims` as in TensorInfo: the length of a row first, 1 to 4 of them.
  void add_tensor(std::string_view name, DType type, const std::vector<uint64_t>& dims,
                  std::vector<std::byte> bytes);

  // The whole file.
  std::vector<std::byte> bytes() const;
  Result<void> write(const std::string& path) const;

 private:
  std::string header() const;  // all before the first tensor's data, with the padding
  size_t padding_bytes(size_t position) const;

  uint32_t alignment_bytes_;
  uint64_t key_count_ = 0;
  std::string keys_;     // the encoded metadata
  std::string tensors_;  // the encoded tensor descriptions
  std::vector<std::vector<std::byte>> data_;
  uint64_t data_bytes_ = 0;                   // of the data section so far, with the padding
  std::set<std::string, std::less<>> names_;  // of keys and tensors, marked apart
};

}  // namespace octavo::gguf
