#include "gguf/quantize.h"

#include <gtest/gtest.h>

#include <cstring>

#include "gguf/vector_file.h"

namespace octavo::gguf {
namespace {

TEST(Quantize, EqualsTheReferenceByteForByte) {
  for (const DType type : {DType::f16, DType::bf16, DType::q4_0, DType::q4_1, DType::q8_0}) {
    SCOPED_TRACE(info(type).name);
    const VectorFile file = read_vector_file("quantize", type);
    ASSERT_GT(file.block_count, 0u);
    std::vector<float> values(file.block_count * info(type).block_elements);
    const size_t float_bytes = values.size() * sizeof(float);
    ASSERT_EQ(file.payload.size(), float_bytes + file.block_count * info(type).block_bytes);
    std::memcpy(values.data(), file.payload.data(), float_bytes);
    const std::vector<std::byte> blocks = quantize(type, values);
    ASSERT_EQ(blocks.size(), file.payload.size() - float_bytes);
    for (size_t i = 0; i < blocks.size(); ++i) {
      ASSERT_EQ(blocks[i], static_cast<std::byte>(file.payload[float_bytes + i])) << "byte " << i;
    }
  }
}

}  // namespace
}  // namespace octavo::gguf
