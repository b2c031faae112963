// The key-value section of a GGUF file, with typed look-ups whose errors name the file and the key.
//
// Owns its strings. Immutable after reading, so safe to share between threads.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/value.h"
#include "octavo/result.h"

namespace octavo::gguf {

class Metadata {
 public:
  // `source` is the file's name, used in errors.
  explicit Metadata(std::string source = {}) : source_(std::move(source)) {}

  const std::string& source() const { return source_; }
  // In the file's order.
  const std::vector<std::string>& keys() const { return keys_; }
  const Value* find(std::string_view key) const;
  bool has(std::string_view key) const { return find(key) != nullptr; }
  Result<void> insert(std::string key, Value value);  // an error for a key that is already there

  // Required values: an error when the key is missing, of another kind, or out of the type's range.
  // Any integer type of the file is accepted where its value fits.
  Result<uint32_t> u32(std::string_view key) const;
  Result<float> f32(std::string_view key) const;  // f32 or f64
  Result<bool> boolean(std::string_view key) const;
  Result<std::string> string(std::string_view key) const;
  // Arrays: the pointer lives as long as this object.
  Result<const std::vector<std::string>*> strings(std::string_view key) const;
  Result<std::vector<int32_t>> i32s(std::string_view key) const;
  Result<std::vector<float>> f32s(std::string_view key) const;

  // Optional values: the fallback when the key is missing, an error when it is there and wrong.
  Result<uint32_t> u32_or(std::string_view key, uint32_t fallback) const;
  Result<float> f32_or(std::string_view key, float fallback) const;
  Result<bool> boolean_or(std::string_view key, bool fallback) const;
  Result<std::string> string_or(std::string_view key, std::string fallback) const;

 private:
  Result<const Value*> require(std::string_view key) const;
  Error wrong_kind(std::string_view key, const Value& value, std::string_view expected) const;

  std::string source_;
  std::vector<std::string> keys_;
  std::map<std::string, Value, std::less<>> values_;
};

}  // namespace octavo::gguf
