// The layout of quantised weights on a device, on the host: what is packed decodes, bit for bit, to
// what the blocks of the file stand for.
#include <gtest/gtest.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "backend/cuda/pack_weight.h"
#include "backend/cuda/type_switch.h"
#include "backend/cuda/weight_layout.h"
#include "gguf/dequantize.h"
#include "gguf/random_blocks.h"

namespace octavo::cuda {
namespace {

// A packed matrix in the host's memory.
struct PackedMatrix {
  PackedMatrix(DType type, const std::vector<std::byte>& blocks, int64_t rows, int64_t columns) {
    const PlaneBytes bytes = plane_bytes(type, rows, columns);
    codes.resize(bytes.codes);
    high.resize(bytes.high);
    scales.resize(bytes.scales);
    super.resize(bytes.super);
    pack_rows(type, blocks.data(), rows, columns,
              {codes.data(), high.empty() ? nullptr : high.data(), scales.data(),
               super.empty() ? nullptr : super.data()});
    view = {codes.data(), high.data(), scales.data(), super.data(), rows, columns / kChunk};
  }
  PackedMatrix(const PackedMatrix&) = delete;
  PackedMatrix& operator=(const PackedMatrix&) = delete;

  std::vector<uint8_t> codes;
  std::vector<uint8_t> high;
  std::vector<uint8_t> scales;
  std::vector<uint8_t> super;
  QuantizedView view;
};

// Every value of a packed matrix of random blocks against the reference.
template <DType type>
void expect_equal_bits(uint64_t seed, int64_t rows, int64_t blocks_of_row) {
  const auto columns = blocks_of_row * static_cast<int64_t>(info(type).block_elements);
  const auto elements = static_cast<size_t>(rows * columns);
  std::vector<std::byte> blocks(row_bytes(type, elements));
  gguf::draw_blocks(type, 0.02F, seed, 0, blocks);
  std::vector<float> expected(elements);
  gguf::dequantize_row(type, blocks.data(), expected.data(), elements);

  const PackedMatrix packed(type, blocks, rows, columns);
  for (int64_t chunk = 0; chunk < rows * columns / kChunk; ++chunk) {
    const Chunk values = decode_chunk<type>(packed.view, chunk);
    for (int column = 0; column < kChunk; ++column) {
      const float value = chunk_value<type>(values, column);
      const float wanted = expected[static_cast<size_t>(chunk * kChunk + column)];
      ASSERT_EQ(std::bit_cast<uint32_t>(value), std::bit_cast<uint32_t>(wanted))
          << info(type).name << ", chunk " << chunk << ", column " << column << ": " << value
          << " for " << wanted << ", seed " << seed;
    }
  }
}

class CudaWeightLayoutTest : public ::testing::TestWithParam<DType> {};

TEST_P(CudaWeightLayoutTest, DecodesToTheBitsOfTheReference) {
  std::random_device device;
  const uint64_t seed = device();
  for_quantized_type(GetParam(), [&]<DType type>() {
    expect_equal_bits<type>(seed, 1, 1);
    expect_equal_bits<type>(seed + 1, 7, 3);
    expect_equal_bits<type>(seed + 2, 16, 8);
  });
}

std::vector<DType> quantized_types() {
  std::vector<DType> out;
  for (const DTypeInfo& entry : kDTypes) {
    if (is_quantized(entry.type)) out.push_back(entry.type);
  }
  return out;
}

TEST(CudaWeightLayoutTypesTest, AreThirteen) {
  EXPECT_EQ(quantized_types().size(), 13U);
}

std::string type_name(const ::testing::TestParamInfo<DType>& test) {
  return std::string(info(test.param).name);
}

INSTANTIATE_TEST_SUITE_P(Types, CudaWeightLayoutTest, ::testing::ValuesIn(quantized_types()),
                         type_name);

}  // namespace
}  // namespace octavo::cuda
