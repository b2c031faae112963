// A small valid GGUF file with every kind of metadata and several tensor types. Header-only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "gguf/writer.h"

namespace octavo::gguf {

inline std::vector<std::byte> pattern_bytes(size_t count) {
  std::vector<std::byte> bytes(count);
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(i * 37 + 11);
  return bytes;
}

inline Value unsigned_array(ValueType type, std::vector<uint64_t> values) {
  Array array;
  array.element_type = type;
  array.unsigned_values = std::move(values);
  return {ValueType::array, std::move(array)};
}

inline Value signed_array(ValueType type, std::vector<int64_t> values) {
  Array array;
  array.element_type = type;
  array.signed_values = std::move(values);
  return {ValueType::array, std::move(array)};
}

inline Value float_array(ValueType type, std::vector<double> values) {
  Array array;
  array.element_type = type;
  array.float_values = std::move(values);
  return {ValueType::array, std::move(array)};
}

inline void add_every_value_type(Writer& writer) {
  writer.add("scalar.u8", {ValueType::u8, Scalar(uint64_t{255})});
  writer.add("scalar.u16", {ValueType::u16, Scalar(uint64_t{65535})});
  writer.add("scalar.u32", {ValueType::u32, Scalar(uint64_t{4294967295})});
  writer.add("scalar.u64", {ValueType::u64, Scalar(~uint64_t{0})});
  writer.add("scalar.i8", {ValueType::i8, Scalar(int64_t{-128})});
  writer.add("scalar.i16", {ValueType::i16, Scalar(int64_t{-32768})});
  writer.add("scalar.i32", {ValueType::i32, Scalar(int64_t{-2147483648})});
  writer.add("scalar.i64", {ValueType::i64, Scalar(INT64_MIN)});
  writer.add_f32("scalar.f32", 0.1f);
  writer.add("scalar.f64", {ValueType::f64, Scalar(0.1)});
  writer.add_bool("scalar.bool", true);
  writer.add_string("scalar.string", "gr\xC3\xBC\xC3\x9F dich\n");
  writer.add("array.u8", unsigned_array(ValueType::u8, {0, 255}));
  writer.add("array.u16", unsigned_array(ValueType::u16, {0, 65535}));
  writer.add("array.u32", unsigned_array(ValueType::u32, {0, 4294967295}));
  writer.add("array.u64", unsigned_array(ValueType::u64, {0, ~uint64_t{0}}));
  writer.add("array.bool", unsigned_array(ValueType::boolean, {1, 0, 1}));
  writer.add("array.i8", signed_array(ValueType::i8, {-128, 127}));
  writer.add("array.i16", signed_array(ValueType::i16, {-32768, 32767}));
  writer.add_i32s("array.i32", {-2147483647, 2147483647});
  writer.add("array.i64", signed_array(ValueType::i64, {INT64_MIN, INT64_MAX}));
  writer.add_f32s("array.f32", {-0.0f, 1e-45f, 3.5f});
  writer.add("array.f64", float_array(ValueType::f64, {1e300, -2.25}));
  writer.add_strings("array.string", {"", "token", std::string("nul\0!", 5)});
  writer.add_strings("array.empty", {});
}

inline std::vector<std::byte> small_model() {
  Writer writer;
  add_every_value_type(writer);
  writer.add_tensor("a.weight", DType::f32, {3, 5}, pattern_bytes(60));
  writer.add_tensor("b.weight", DType::q8_0, {64, 2, 1, 3}, pattern_bytes(64 / 32 * 34 * 6));
  writer.add_tensor("c.weight", DType::q6_k, {256}, pattern_bytes(210));
  writer.add_tensor("d.weight", DType::bf16, {1}, pattern_bytes(2));
  return writer.bytes();
}

}  // namespace octavo::gguf
