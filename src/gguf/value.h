// A metadata value of a GGUF file: a scalar, a string, or an array of scalars or strings.
//
// Follows the GGUF specification (ggml/docs/gguf.md), versions 2 and 3. Nested arrays, which the
// specification allows and no known model uses, are refused by the reader.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace octavo::gguf {

// The numbers are those of the file.
enum class ValueType : uint32_t {
  u8 = 0,
  i8 = 1,
  u16 = 2,
  i16 = 3,
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  u64 = 10,
  i64 = 11,
  f64 = 12,
};

std::string_view name(ValueType type);  // "u32", "string", ...

// Integers of every width are held as their 64-bit form; `type` (or the array's element type) keeps
// what the file said.
using Scalar = std::variant<uint64_t, int64_t, double, bool, std::string>;

struct Array {
  ValueType element_type = ValueType::u8;
  // Exactly one is non-empty (or all are, for an empty array), by element type: unsigned and bool
  // in `unsigned_values`, signed in `signed_values`, f32 and f64 in `float_values`.
  std::vector<uint64_t> unsigned_values;
  std::vector<int64_t> signed_values;
  std::vector<double> float_values;
  std::vector<std::string> strings;

  size_t size() const;
};

struct Value {
  ValueType type = ValueType::u8;
  std::variant<Scalar, Array> data;
};

}  // namespace octavo::gguf
