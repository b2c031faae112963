#include "gguf/dequantize.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>

#include "gguf/vector_file.h"

namespace octavo::gguf {
namespace {

class Dequantize : public testing::TestWithParam<DType> {};

TEST_P(Dequantize, EqualsTheIndependentImplementationBitForBit) {
  const DTypeInfo& type = info(GetParam());
  const VectorFile file = read_vector_file("dequantize", GetParam());
  ASSERT_GT(file.block_count, 0u);
  const size_t elements = file.block_count * type.block_elements;
  const size_t block_bytes = file.block_count * type.block_bytes;
  ASSERT_EQ(file.payload.size(), block_bytes + elements * sizeof(float));

  std::vector<uint32_t> expected(elements);
  std::memcpy(expected.data(), file.payload.data() + block_bytes, elements * sizeof(float));
  // One byte of offset: the blocks need no alignment.
  std::vector<std::byte> blocks(block_bytes + 1);
  std::memcpy(blocks.data() + 1, file.payload.data(), block_bytes);
  std::vector<float> actual(elements);
  dequantize_row(GetParam(), blocks.data() + 1, actual.data(), elements);
  for (size_t i = 0; i < elements; ++i) {
    ASSERT_EQ(std::bit_cast<uint32_t>(actual[i]), expected[i])
        << "value " << i << ": " << actual[i] << ", expected " << std::bit_cast<float>(expected[i]);
  }
}

std::vector<DType> all_types() {
  std::vector<DType> types;
  types.reserve(kDTypes.size());
  for (const DTypeInfo& entry : kDTypes) types.push_back(entry.type);
  return types;
}

std::string type_name(const testing::TestParamInfo<DType>& parameter) {
  return std::string(info(parameter.param).name);
}

INSTANTIATE_TEST_SUITE_P(AllTypes, Dequantize, testing::ValuesIn(all_types()), type_name);

TEST(DequantizeDeathTest, RefusesPartOfABlock) {
  const std::byte blocks[34] = {};
  float out[32];
  EXPECT_DEATH(dequantize_row(DType::q8_0, blocks, out, 31), "31 values of Q8_0");
}

}  // namespace
}  // namespace octavo::gguf
