#include "gguf/metadata.h"

#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"

namespace octavo::gguf {
namespace {

std::string describe(const Value& value) {
  if (const auto* array = std::get_if<Array>(&value.data)) {
    return fmt::format("an array of {}", name(array->element_type));
  }
  return fmt::format("of type {}", name(value.type));
}

// The scalar's T, or null when the value is an array or another kind of scalar.
template <class T>
const T* scalar(const Value& value) {
  const auto* held = std::get_if<Scalar>(&value.data);
  return held == nullptr ? nullptr : std::get_if<T>(held);
}

bool fits_float(double value) {
  return !std::isfinite(value) || std::abs(value) <= std::numeric_limits<float>::max();
}

bool is_unsigned(ValueType type) {
  return type == ValueType::u8 || type == ValueType::u16 || type == ValueType::u32 ||
         type == ValueType::u64;
}

bool is_signed(ValueType type) {
  return type == ValueType::i8 || type == ValueType::i16 || type == ValueType::i32 ||
         type == ValueType::i64;
}

}  // namespace

const Value* Metadata::find(std::string_view key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

Result<void> Metadata::insert(std::string key, Value value) {
  if (has(key)) return invalid_input("{}: key '{}': there twice", source_, printable(key));
  values_[key] = std::move(value);
  keys_.push_back(std::move(key));
  return {};
}

Result<const Value*> Metadata::require(std::string_view key) const {
  const Value* value = find(key);
  if (value == nullptr) {
    return invalid_input("{}: key '{}': missing, and the model cannot be used without it", source_,
                         printable(key));
  }
  return value;
}

Error Metadata::wrong_kind(std::string_view key, const Value& value,
                           std::string_view expected) const {
  return invalid_input("{}: key '{}': {}, where {} is expected", source_, printable(key),
                       describe(value), expected);
}

Result<uint32_t> Metadata::u32(std::string_view key) const {
  OCTAVO_ASSIGN(const Value* value, require(key));
  constexpr uint64_t kLimit = std::numeric_limits<uint32_t>::max();
  if (const auto* number = scalar<uint64_t>(*value)) {
    if (*number <= kLimit) return static_cast<uint32_t>(*number);
    return invalid_input("{}: key '{}': {} is more than {}", source_, printable(key), *number,
                         kLimit);
  }
  if (const auto* number = scalar<int64_t>(*value)) {
    if (*number >= 0 && static_cast<uint64_t>(*number) <= kLimit) {
      return static_cast<uint32_t>(*number);
    }
    return invalid_input("{}: key '{}': {} is not between 0 and {}", source_, printable(key),
                         *number, kLimit);
  }
  return wrong_kind(key, *value, "an integer");
}

Result<float> Metadata::f32(std::string_view key) const {
  OCTAVO_ASSIGN(const Value* value, require(key));
  const auto* number = scalar<double>(*value);
  if (number == nullptr) return wrong_kind(key, *value, "f32 or f64");
  if (!fits_float(*number)) {
    return invalid_input("{}: key '{}': {} is too large for a float", source_, printable(key),
                         *number);
  }
  return static_cast<float>(*number);
}

Result<bool> Metadata::boolean(std::string_view key) const {
  OCTAVO_ASSIGN(const Value* value, require(key));
  const auto* held = scalar<bool>(*value);
  if (held == nullptr) return wrong_kind(key, *value, "a bool");
  return *held;
}

Result<std::string> Metadata::string(std::string_view key) const {
  OCTAVO_ASSIGN(const Value* value, require(key));
  const auto* held = scalar<std::string>(*value);
  if (held == nullptr) return wrong_kind(key, *value, "a string");
  return *held;
}

Result<const std::vector<std::string>*> Metadata::strings(std::string_view key) const {
  OCTAVO_ASSIGN(const Value* value, require(key));
  const auto* array = std::get_if<Array>(&value->data);
  if (array == nullptr || array->element_type != ValueType::string) {
    return wrong_kind(key, *value, "an array of string");
  }
  return &array->strings;
}

Result<std::vector<int32_t>> Metadata::i32s(std::string_view key) const {
  OCTAVO_ASSIGN(const Value* value, require(key));
  const auto* array = std::get_if<Array>(&value->data);
  if (array == nullptr || !(is_signed(array->element_type) || is_unsigned(array->element_type))) {
    return wrong_kind(key, *value, "an array of integers");
  }
  constexpr int64_t kLowest = std::numeric_limits<int32_t>::min();
  constexpr int64_t kHighest = std::numeric_limits<int32_t>::max();
  std::vector<int32_t> out;
  out.reserve(array->size());
  for (const int64_t number : array->signed_values) {
    if (number < kLowest || number > kHighest) {
      return invalid_input("{}: key '{}': element {} is {}, which does not fit 32 bits", source_,
                           printable(key), out.size(), number);
    }
    out.push_back(static_cast<int32_t>(number));
  }
  for (const uint64_t number : array->unsigned_values) {
    if (number > static_cast<uint64_t>(kHighest)) {
      return invalid_input("{}: key '{}': element {} is {}, which does not fit 32 bits", source_,
                           printable(key), out.size(), number);
    }
    out.push_back(static_cast<int32_t>(number));
  }
  return out;
}

Result<std::vector<float>> Metadata::f32s(std::string_view key) const {
  OCTAVO_ASSIGN(const Value* value, require(key));
  const auto* array = std::get_if<Array>(&value->data);
  if (array == nullptr ||
      !(array->element_type == ValueType::f32 || array->element_type == ValueType::f64)) {
    return wrong_kind(key, *value, "an array of f32 or f64");
  }
  std::vector<float> out;
  out.reserve(array->size());
  for (const double number : array->float_values) {
    if (!fits_float(number)) {
      return invalid_input("{}: key '{}': element {} is {}, too large for a float", source_,
                           printable(key), out.size(), number);
    }
    out.push_back(static_cast<float>(number));
  }
  return out;
}

Result<uint32_t> Metadata::u32_or(std::string_view key, uint32_t fallback) const {
  return has(key) ? u32(key) : fallback;
}

Result<float> Metadata::f32_or(std::string_view key, float fallback) const {
  return has(key) ? f32(key) : fallback;
}

Result<bool> Metadata::boolean_or(std::string_view key, bool fallback) const {
  return has(key) ? boolean(key) : fallback;
}

Result<std::string> Metadata::string_or(std::string_view key, std::string fallback) const {
  return has(key) ? string(key) : std::move(fallback);
}

}  // namespace octavo::gguf
