#include "gguf/metadata.h"

#include <gtest/gtest.h>

#include "gguf/small_model.h"

namespace octavo::gguf {
namespace {

Metadata example() {
  Metadata metadata("m.gguf");
  const auto add = [&](const char* key, Value value) {
    EXPECT_TRUE(metadata.insert(key, std::move(value)).ok());
  };
  add("u8", {ValueType::u8, Scalar(uint64_t{7})});
  add("u64", {ValueType::u64, Scalar(uint64_t{1} << 32)});
  add("i16", {ValueType::i16, Scalar(int64_t{300})});
  add("negative", {ValueType::i32, Scalar(int64_t{-1})});
  add("f64", {ValueType::f64, Scalar(0.5)});
  add("f64.large", {ValueType::f64, Scalar(1e39)});
  add("f64.infinite", {ValueType::f64, Scalar(std::numeric_limits<double>::infinity())});
  add("bool", {ValueType::boolean, Scalar(false)});
  add("string", {ValueType::string, Scalar(std::string("text"))});
  add("i8s", signed_array(ValueType::i8, {-1, 1}));
  add("u32s", unsigned_array(ValueType::u32, {1, 4294967295}));
  add("i64s", signed_array(ValueType::i64, {int64_t{1} << 31}));
  add("bools", unsigned_array(ValueType::boolean, {1}));
  add("f32s", float_array(ValueType::f32, {0.25}));
  add("f64s", float_array(ValueType::f64, {-1e39}));
  Array strings;
  strings.element_type = ValueType::string;
  strings.strings = {"a", "b"};
  add("strings", {ValueType::array, std::move(strings)});
  return metadata;
}

TEST(Metadata, GivesValuesOfTheirKind) {
  const Metadata metadata = example();
  EXPECT_EQ(metadata.u32("u8").value(), 7u);
  EXPECT_EQ(metadata.u32("i16").value(), 300u);
  EXPECT_EQ(metadata.f32("f64").value(), 0.5f);
  EXPECT_EQ(metadata.f32("f64.infinite").value(), std::numeric_limits<float>::infinity());
  EXPECT_FALSE(metadata.boolean("bool").value());
  EXPECT_EQ(metadata.string("string").value(), "text");
  EXPECT_EQ(*metadata.strings("strings").value(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(metadata.i32s("i8s").value(), (std::vector<int32_t>{-1, 1}));
  EXPECT_EQ(metadata.f32s("f32s").value(), (std::vector<float>{0.25f}));
}

TEST(Metadata, NamesFileKeyAndFault) {
  const Metadata metadata = example();
  const auto message = [](const auto& result) {
    return result.ok() ? std::string("no error") : result.error().message;
  };
  EXPECT_EQ(message(metadata.u32("gone")),
            "m.gguf: key 'gone': missing, and the model cannot be used without it");
  EXPECT_EQ(message(metadata.u32("string")),
            "m.gguf: key 'string': of type string, where an integer is expected");
  EXPECT_EQ(message(metadata.u32("u32s")),
            "m.gguf: key 'u32s': an array of u32, where an integer is expected");
  EXPECT_EQ(message(metadata.u32("bool")),
            "m.gguf: key 'bool': of type bool, where an integer is expected");
  EXPECT_EQ(message(metadata.u32("u64")), "m.gguf: key 'u64': 4294967296 is more than 4294967295");
  EXPECT_EQ(message(metadata.u32("negative")),
            "m.gguf: key 'negative': -1 is not between 0 and 4294967295");
  EXPECT_EQ(message(metadata.f32("u8")),
            "m.gguf: key 'u8': of type u8, where f32 or f64 is expected");
  EXPECT_EQ(message(metadata.f32("f64.large")),
            "m.gguf: key 'f64.large': 1e+39 is too large for a float");
  EXPECT_EQ(message(metadata.boolean("u8")),
            "m.gguf: key 'u8': of type u8, where a bool is expected");
  EXPECT_EQ(message(metadata.string("strings")),
            "m.gguf: key 'strings': an array of string, where a string is expected");
  EXPECT_EQ(message(metadata.strings("string")),
            "m.gguf: key 'string': of type string, where an array of string is expected");
  EXPECT_EQ(message(metadata.strings("i8s")),
            "m.gguf: key 'i8s': an array of i8, where an array of string is expected");
  EXPECT_EQ(message(metadata.i32s("bools")),
            "m.gguf: key 'bools': an array of bool, where an array of integers is expected");
  EXPECT_EQ(message(metadata.i32s("u32s")),
            "m.gguf: key 'u32s': element 1 is 4294967295, which does not fit 32 bits");
  EXPECT_EQ(message(metadata.i32s("i64s")),
            "m.gguf: key 'i64s': element 0 is 2147483648, which does not fit 32 bits");
  EXPECT_EQ(message(metadata.f32s("i8s")),
            "m.gguf: key 'i8s': an array of i8, where an array of f32 or f64 is expected");
  EXPECT_EQ(message(metadata.f32s("f64s")),
            "m.gguf: key 'f64s': element 0 is -1e+39, too large for a float");
}

TEST(Metadata, FallsBackOnlyWhenTheKeyIsMissing) {
  const Metadata metadata = example();
  EXPECT_EQ(metadata.u32_or("gone", 5).value(), 5u);
  EXPECT_EQ(metadata.u32_or("u8", 5).value(), 7u);
  EXPECT_FALSE(metadata.u32_or("string", 5).ok());
  EXPECT_EQ(metadata.f32_or("gone", 1.5f).value(), 1.5f);
  EXPECT_FALSE(metadata.f32_or("u8", 1.5f).ok());
  EXPECT_TRUE(metadata.boolean_or("gone", true).value());
  EXPECT_FALSE(metadata.boolean_or("bool", true).value());
  EXPECT_FALSE(metadata.boolean_or("u8", true).ok());
  EXPECT_EQ(metadata.string_or("gone", "x").value(), "x");
  EXPECT_EQ(metadata.string_or("string", "x").value(), "text");
  EXPECT_FALSE(metadata.string_or("u8", "x").ok());
}

TEST(Metadata, RefusesAKeyTwiceAndKeepsTheFirst) {
  Metadata metadata = example();
  const Result<void> again = metadata.insert("u8", {ValueType::u8, Scalar(uint64_t{8})});
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().message, "m.gguf: key 'u8': there twice");
  EXPECT_EQ(metadata.u32("u8").value(), 7u);
  EXPECT_EQ(metadata.keys().size(), 16u);
}

}  // namespace
}  // namespace octavo::gguf
