// Files that are wrong on purpose: one line says what and where, and no count from the file drives
// an allocation.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "gguf/allocation_watch.h"
#include "gguf/file.h"
#include "gguf/parser.h"
#include "gguf/raw_gguf.h"
#include "gguf/small_model.h"

namespace octavo::gguf {
namespace {

constexpr uint64_t kHuge = uint64_t{1} << 60;
constexpr uint32_t kF32 = 0;
constexpr uint32_t kQ8_0 = 8;

std::string error_of(const std::vector<std::byte>& bytes) {
  allocation_watch::reset();
  const Result<File> file = File::parse("h.gguf", bytes.data(), bytes.size());
  EXPECT_LT(allocation_watch::largest_bytes(), bytes.size() * 8 + 4096);
  if (file.ok()) return "no error";
  EXPECT_EQ(file.error().message.find('\n'), std::string::npos);
  EXPECT_LT(file.error().message.size(), 400u);
  return file.error().message;
}

std::string error_of(const RawGguf& raw) {
  return error_of(raw.bytes());
}

TEST(Hostile, CutShortAnywhere) {
  const std::vector<std::byte> whole = small_model();
  const Result<File> file = File::parse("whole", whole.data(), whole.size());
  ASSERT_TRUE(file.ok());
  const TensorInfo& last = file->tensors().back();
  const size_t needed = last.offset + last.bytes;
  for (size_t size = 0; size < needed; ++size) {
    // A copy of just these bytes, so that a sanitizer sees a read past them.
    const std::vector<std::byte> cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
    ASSERT_NE(error_of(cut), "no error") << size;
  }
  EXPECT_EQ(error_of(RawGguf(0, 1).data(64).bytes()), "h.gguf: key 0: its name is empty");
  EXPECT_EQ(error_of(RawGguf(0, 0).bytes()), "no error");
}

TEST(Hostile, Headers) {
  std::vector<std::byte> bytes = RawGguf(0, 0).bytes();
  bytes[0] = std::byte{'g'};
  EXPECT_EQ(error_of(bytes), "h.gguf: not a GGUF file");
  EXPECT_EQ(error_of(std::vector<std::byte>{}),
            "h.gguf: header: cut short: 4 bytes are needed at offset 0, 0 are left");
  for (const uint32_t version : {0u, 1u, 4u, 0x7FFFFFFFu}) {
    EXPECT_EQ(
        error_of(RawGguf(0, 0, version)),
        fmt::format("h.gguf: header: GGUF version {}; versions 2 and 3 are supported", version));
  }
  EXPECT_EQ(error_of(RawGguf(0, 0, 0x03000000)),
            "h.gguf: header: a big-endian GGUF file; only little-endian ones are read");
}

TEST(Hostile, Counts) {
  EXPECT_EQ(error_of(RawGguf(~uint64_t{0}, 0)),
            "h.gguf: header: 18446744073709551615 tensors, more than the limit of 262144");
  EXPECT_EQ(error_of(RawGguf(0, kHuge)),
            "h.gguf: header: 1152921504606846976 keys, more than the limit of 65536");
  EXPECT_EQ(error_of(RawGguf(200'000, 0)),
            "h.gguf: header: 200000 tensors, more than the 8 bytes left of the file can hold");
  EXPECT_EQ(error_of(RawGguf(0, 60'000)),
            "h.gguf: header: 60000 keys, more than the 0 bytes left of the file can hold");
}

TEST(Hostile, Strings) {
  EXPECT_EQ(error_of(RawGguf(0, 1).number(kHuge).data(64)),
            "h.gguf: key 0: cut short: 1152921504606846976 bytes are needed at offset 32, 64 are "
            "left");
  EXPECT_EQ(error_of(RawGguf(0, 1).string("k").type(ValueType::string).number(kHuge)),
            "h.gguf: key 'k': cut short: 1152921504606846976 bytes are needed at offset 45, 0 are "
            "left");
  EXPECT_EQ(error_of(RawGguf(0, 1)
                         .string("k")
                         .type(ValueType::array)
                         .type(ValueType::string)
                         .number(uint64_t{1})
                         .number(~uint64_t{0})),
            "h.gguf: key 'k': cut short: 18446744073709551615 bytes are "
            "needed at offset 57, 0 are left");
  EXPECT_EQ(error_of(RawGguf(1, 0).number(kHuge).data(64)),
            "h.gguf: tensor 0: cut short: 1152921504606846976 bytes are needed at offset 32, 64 "
            "are left");
}

TEST(Hostile, Arrays) {
  for (const uint32_t element : {0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 10u, 11u, 12u}) {
    const auto array_of = [element](uint64_t length) {
      RawGguf raw(0, 1);
      raw.string("k").type(ValueType::array).number(element).number(length);
      return raw;
    };
    EXPECT_EQ(error_of(array_of(kHuge)),
              "h.gguf: key 'k': 1152921504606846976 elements, more than the limit of "
              "16777216");
    EXPECT_EQ(error_of(array_of(16'000'000)),
              "h.gguf: key 'k': 16000000 elements, more than the 0 bytes left of the "
              "file can hold");
  }
  EXPECT_EQ(error_of(RawGguf(0, 1)
                         .string("k")
                         .type(ValueType::array)
                         .type(ValueType::array)
                         .number(uint64_t{1})),
            "h.gguf: key 'k': an array of arrays is not supported");
  EXPECT_EQ(error_of(RawGguf(0, 1).string("k").type(ValueType::array).number(13u).number(kHuge)),
            "h.gguf: key 'k': 13 is not a type of a GGUF value");
}

TEST(Hostile, Values) {
  EXPECT_EQ(error_of(RawGguf(0, 1).string("k").number(0xFFFFFFFFu).number(uint64_t{0})),
            "h.gguf: key 'k': 4294967295 is not a type of a GGUF value");
  EXPECT_EQ(error_of(RawGguf(0, 1).string("k").type(ValueType::boolean).number(uint8_t{2})),
            "h.gguf: key 'k': a bool with the value 2; 0 and 1 are valid");
  EXPECT_EQ(error_of(RawGguf(0, 1)
                         .string("k")
                         .type(ValueType::array)
                         .type(ValueType::boolean)
                         .number(uint64_t{2})
                         .number(uint8_t{1})
                         .number(uint8_t{255})),
            "h.gguf: key 'k': a bool with the value 255; 0 and 1 are valid");
}

TEST(Hostile, KeyNames) {
  EXPECT_EQ(error_of(RawGguf(0, 2).key_u32("k", 1).key_u32("k", 1)),
            "h.gguf: key 'k': there twice");
  EXPECT_EQ(error_of(RawGguf(0, 1).key_u32("", 1).data(8)), "h.gguf: key 0: its name is empty");
  EXPECT_EQ(error_of(RawGguf(0, 1).key_u32(std::string(65536, 'k'), 1)),
            "h.gguf: key 0: its name '" + std::string(40, 'k') +
                "...' is 65536 bytes long, more than 65535");
  EXPECT_EQ(error_of(RawGguf(0, 1).key_u32(std::string(65535, 'k'), 1)), "no error");
  // What a name holds cannot break the line.
  EXPECT_EQ(error_of(RawGguf(0, 2).key_u32("a\nb\x1B", 1).key_u32("a\nb\x1B", 1)),
            "h.gguf: key 'a\\x0ab\\x1b': there twice");
}

TEST(Hostile, Alignments) {
  for (const uint32_t alignment : {0u, 1u, 4u, 12u, 33u, 1u << 21, 1u << 31}) {
    EXPECT_EQ(error_of(RawGguf(0, 1).key_u32("general.alignment", alignment)),
              fmt::format("h.gguf: key 'general.alignment': {} is not a power of two between 8 "
                          "and 1048576",
                          alignment));
  }
  EXPECT_EQ(error_of(RawGguf(0, 1).string("general.alignment").type(ValueType::f32).number(32.0f)),
            "h.gguf: key 'general.alignment': of type f32, where an integer is expected");
}

TEST(Hostile, TensorNames) {
  EXPECT_EQ(error_of(RawGguf(1, 0).tensor("", {1}, kF32, 0).data(8)),
            "h.gguf: tensor 0: its name is empty");
  EXPECT_EQ(error_of(RawGguf(1, 0).tensor(std::string(65, 't'), {1}, kF32, 0).data(8)),
            "h.gguf: tensor 0: its name '" + std::string(40, 't') +
                "...' is 65 bytes long, more than 64");
  EXPECT_EQ(error_of(RawGguf(2, 0).tensor("t", {1}, kF32, 0).tensor("t", {1}, kF32, 32).data(64)),
            "h.gguf: tensor 't': there twice");
}

TEST(Hostile, Dimensions) {
  EXPECT_EQ(error_of(RawGguf(1, 0).tensor("t", {}, kF32, 0).data(64)),
            "h.gguf: tensor 't': 0 dimensions; 1 to 4 are valid");
  EXPECT_EQ(error_of(RawGguf(1, 0).tensor("t", {1, 1, 1, 1, 1}, kF32, 0).data(64)),
            "h.gguf: tensor 't': 5 dimensions; 1 to 4 are valid");
  EXPECT_EQ(error_of(RawGguf(1, 0).tensor("t", {4, 0}, kF32, 0).data(64)),
            "h.gguf: tensor 't': a dimension of 0");
  const uint64_t half = uint64_t{1} << 32;
  EXPECT_EQ(error_of(RawGguf(1, 0).tensor("t", {half, half}, kF32, 0).data(64)),
            "h.gguf: tensor 't': dimensions 4294967296 x 4294967296 x 1 x 1 are absurdly large");
  EXPECT_EQ(error_of(RawGguf(1, 0).tensor("t", {32, kHuge, 16}, kQ8_0, 0).data(64)),
            "h.gguf: tensor 't': dimensions 32 x 1152921504606846976 x 16 x 1 are absurdly large");
  EXPECT_EQ(error_of(RawGguf(1, 0).tensor("t", {48, 2}, kQ8_0, 0).data(512)),
            "h.gguf: tensor 't': rows of 48 values, not a multiple of Q8_0's block of 32");
}

TEST(Hostile, TensorTypes) {
  const std::string supported =
      " is not supported; supported are F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, "
      "Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, MXFP4";
  EXPECT_EQ(error_of(RawGguf(1, 0).tensor("t", {256}, 16, 0).data(512)),
            "h.gguf: tensor 't': tensor type IQ2_XXS" + supported);
  EXPECT_EQ(error_of(RawGguf(1, 0).tensor("t", {256}, 0xFFFFFFFF, 0).data(512)),
            "h.gguf: tensor 't': tensor type number 4294967295" + supported);
}

TEST(Hostile, Offsets) {
  EXPECT_EQ(error_of(RawGguf(1, 0).tensor("t", {1}, kF32, 4).data(64)),
            "h.gguf: tensor 't': offset 4 is not a multiple of the alignment, 32");
  EXPECT_EQ(error_of(RawGguf(1, 0).tensor("t", {9}, kF32, 0).data(35)),
            "h.gguf: tensor 't': 36 bytes at offset 0 of the data, which starts at 64, lie outside "
            "the file of 99 bytes");
  EXPECT_EQ(error_of(RawGguf(1, 0).tensor("t", {1}, kF32, 64).data(64)),
            "h.gguf: tensor 't': 4 bytes at offset 64 of the data, which starts at 64, lie outside "
            "the file of 128 bytes");
  EXPECT_EQ(error_of(RawGguf(1, 0).tensor("t", {1}, kF32, ~uint64_t{31}).data(64)),
            "h.gguf: tensor 't': 4 bytes at offset 18446744073709551584 of the data, which starts "
            "at 64, lie outside the file of 128 bytes");
  EXPECT_EQ(error_of(RawGguf(1, 0).tensor("t", {1}, kF32, 0)),
            "h.gguf: tensor 't': 4 bytes at offset 0 of the data, which starts at 64, lie outside "
            "the file of 57 bytes");
}

TEST(Hostile, Overlaps) {
  EXPECT_EQ(error_of(RawGguf(2, 0).tensor("t", {9}, kF32, 0).tensor("u", {1}, kF32, 32).data(64)),
            "h.gguf: tensor 'u': its bytes overlap those of tensor 't'");
  EXPECT_EQ(error_of(RawGguf(2, 0).tensor("t", {1}, kF32, 32).tensor("u", {9}, kF32, 0).data(64)),
            "h.gguf: tensor 't': its bytes overlap those of tensor 'u'");
  // In any order, with gaps, but apart: valid.
  EXPECT_EQ(error_of(RawGguf(2, 0).tensor("t", {8}, kF32, 64).tensor("u", {8}, kF32, 0).data(96)),
            "no error");
}

}  // namespace
}  // namespace octavo::gguf
