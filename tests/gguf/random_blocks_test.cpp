#include "gguf/random_blocks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "gguf/blocks.h"
#include "gguf/dequantize.h"

namespace octavo::gguf {
namespace {

class RandomBlocks : public testing::TestWithParam<DType> {};

std::vector<std::byte> blocks_of(DType type, float deviation, uint64_t seed, size_t elements) {
  std::vector<std::byte> blocks(row_bytes(type, elements));
  draw_blocks(type, deviation, seed, 0, blocks);
  return blocks;
}

// With 2^20 values in at least 4,096 blocks, the deviation of what is measured here is below 0.5 %,
// so the tolerances are four of them.
TEST_P(RandomBlocks, StandForNumbersOfTheWantedDeviation) {
  constexpr size_t kElements = size_t{1} << 20;
  for (const double deviation : {1.0 / 8, 1 / std::sqrt(14336.0), 0.05}) {
    const auto blocks = blocks_of(GetParam(), static_cast<float>(deviation), 3, kElements);
    std::vector<float> values(kElements);
    dequantize_row(GetParam(), blocks.data(), values.data(), kElements);
    double sum = 0;
    double squares = 0;
    for (const float value : values) {
      ASSERT_TRUE(std::isfinite(value));
      sum += static_cast<double>(value);
      squares += static_cast<double>(value) * static_cast<double>(value);
    }
    EXPECT_NEAR(sum / kElements, 0, 0.02 * deviation);
    EXPECT_NEAR(std::sqrt(squares / kElements), deviation, 0.02 * deviation);
  }
}

TEST_P(RandomBlocks, DependOnTheSeedAndTheirNumberAlone) {
  constexpr size_t kBlocks = 100;
  const size_t block_bytes = info(GetParam()).block_bytes;
  const size_t elements = kBlocks * info(GetParam()).block_elements;
  const auto whole = blocks_of(GetParam(), 0.1F, 5, elements);
  std::vector<std::byte> pieces(whole.size());
  for (const auto& [first, count] : {std::pair<size_t, size_t>{37, 63}, {0, 3}, {3, 34}}) {
    draw_blocks(GetParam(), 0.1F, 5, first,
                std::span(pieces).subspan(first * block_bytes, count * block_bytes));
  }
  EXPECT_EQ(pieces, whole);
  EXPECT_NE(blocks_of(GetParam(), 0.1F, 6, elements), whole);
}

std::vector<DType> all_types() {
  std::vector<DType> types;
  for (const DTypeInfo& entry : kDTypes) types.push_back(entry.type);
  return types;
}

std::string type_name(const testing::TestParamInfo<DType>& parameter) {
  return std::string(info(parameter.param).name);
}

INSTANTIATE_TEST_SUITE_P(AllTypes, RandomBlocks, testing::ValuesIn(all_types()), type_name);

TEST(RandomBlocksOfQ8, DoNotHoldTheCodeThatQuantisersAvoid) {
  std::vector<BlockQ8_0> blocks(10'000);
  draw_blocks(DType::q8_0, 1, 1, 0, std::as_writable_bytes(std::span(blocks)));
  for (const BlockQ8_0& block : blocks) {
    for (const int8_t code : block.qs) ASSERT_NE(code, -128);
  }
}

TEST(RandomBlocksDeathTest, RefuseAPartOfABlock) {
  std::vector<std::byte> bytes(35);
  EXPECT_DEATH(draw_blocks(DType::q8_0, 1, 1, 0, bytes), "35 bytes of Q8_0");
}

}  // namespace
}  // namespace octavo::gguf
