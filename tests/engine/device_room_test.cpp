// What is said when a model or the KV cache does not fit into a device.
#include "engine/device_room.h"

#include <gtest/gtest.h>

#include "engine_run.h"

namespace octavo {
namespace {

constexpr int64_t kGib = int64_t{1} << 30;

bool has(const Error& error, const std::string& part) {
  return error.message.find(part) != std::string::npos;
}

TEST(DeviceRoom, AModelFitsToTheLastByte) {
  const auto file = gguf::File::open(golden_model("llama"));
  ASSERT_TRUE(file.ok());
  int64_t weights = 0;
  for (const gguf::TensorInfo& tensor : file->tensors()) {
    weights += static_cast<int64_t>(tensor.bytes);
  }
  DeviceMemory memory{.free = weights + 2 * kGib, .total = 80 * kGib, .scratch = 2 * kGib};
  EXPECT_TRUE(check_model_room(*file, "cuda:1", memory).ok());
  memory.free -= 1;
  const Result<void> room = check_model_room(*file, "cuda:1", memory);
  ASSERT_FALSE(room.ok());
  EXPECT_EQ(room.error().kind, ErrorKind::resource);
  EXPECT_TRUE(has(room.error(), golden_model("llama"))) << room.error().message;
  EXPECT_TRUE(has(room.error(), "2.00 GiB to compute with")) << room.error().message;
  EXPECT_TRUE(has(room.error(), "cuda:1 has 2.00 GiB free of 80.00")) << room.error().message;
  EXPECT_TRUE(has(room.error(), "--device")) << room.error().message;
}

TEST(DeviceRoom, TheKvCacheNeedsABlockOfEachGroup) {
  KvShape shape;
  shape.layers_per_block = 2;
  shape.kv_heads = 4;
  shape.head_dim = 64;
  shape.groups = {{0, {0, 1}}, {128, {2, 3}}};
  const int64_t needed = 2 * shape.block_bytes();
  EXPECT_TRUE(check_kv_room(shape, needed, "cuda", true).ok());
  const std::string sizes = "2 x " + std::to_string(shape.block_bytes()) + " bytes";
  for (const bool device_limit : {false, true}) {
    const Result<void> room = check_kv_room(shape, needed - 1, "cuda", device_limit);
    ASSERT_FALSE(room.ok());
    EXPECT_TRUE(has(room.error(), sizes)) << room.error().message;
    EXPECT_TRUE(has(room.error(), std::to_string(needed - 1))) << room.error().message;
    EXPECT_TRUE(has(room.error(), "kv-memory: ")) << room.error().message;
    EXPECT_EQ(has(room.error(), "--device"), device_limit) << room.error().message;
  }
}

// Llama 3.1 8B: 8,192 tokens in 47,104 floats each, and in 16 bits; their logits; 256 outputs'.
TEST(DeviceRoom, AStepNeedsMemoryForItsTokensAndTheirLogits) {
  ModelShape shape;
  shape.vocabulary = 128'256;
  shape.token_bytes = 47'104 * 4;
  const int64_t tensors = int64_t{8'192} * 47'104 * 4;
  const int64_t logits = int64_t{128'256} * 4;
  const int64_t found = step_bytes(shape, 8'192, 256);
  EXPECT_GE(found, tensors + tensors / 4 + (8'192 + 256) * logits);
  EXPECT_LE(found, tensors + tensors / 4 + (8'192 + 256) * logits + kGib / 2);
}

TEST(DeviceRoom, TheProcessorsMemoryIsTheSystems) {
  EXPECT_FALSE(device_memory("cpu"));
  EXPECT_GT(default_kv_limit("cpu", kGib), kGib / 4);
}

}  // namespace
}  // namespace octavo
