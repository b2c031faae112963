// Builds the bytes of a GGUF file piece by piece, right or wrong, for tests of the reader.
//
// The Writer cannot serve here: it refuses to write what is wrong. Header-only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/value.h"

namespace octavo::gguf {

class RawGguf {
 public:
  RawGguf(uint64_t tensor_count, uint64_t key_count, uint32_t version = 3) {
    text("GGUF").number(version).number(tensor_count).number(key_count);
  }

  template <class T>
  RawGguf& number(T value) {
    const auto* first = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), first, first + sizeof(value));
    return *this;
  }
  RawGguf& type(ValueType value) { return number(static_cast<uint32_t>(value)); }
  // Only the characters; string() puts their number before them.
  RawGguf& text(std::string_view characters) {
    for (const char c : characters) bytes_.push_back(static_cast<std::byte>(c));
    return *this;
  }
  RawGguf& string(std::string_view characters) {
    return number(static_cast<uint64_t>(characters.size())).text(characters);
  }
  RawGguf& key_u32(std::string_view key, uint32_t value) {
    return string(key).type(ValueType::u32).number(value);
  }
  RawGguf& tensor(std::string_view name, const std::vector<uint64_t>& dims, uint32_t gguf_type,
                  uint64_t offset) {
    string(name).number(static_cast<uint32_t>(dims.size()));
    for (const uint64_t dim : dims) number(dim);
    return number(gguf_type).number(offset);
  }
  // Fills up to a multiple of 32 and adds this many bytes.
  RawGguf& data(size_t count) {
    bytes_.resize((bytes_.size() + 31) / 32 * 32 + count);
    return *this;
  }

  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace octavo::gguf
