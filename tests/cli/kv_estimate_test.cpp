#include "cli/kv_estimate.h"

#include <gtest/gtest.h>

#include "gguf/file.h"
#include "gguf/writer.h"

namespace octavo::cli {
namespace {

gguf::Writer model(const std::string& architecture, uint32_t layers) {
  gguf::Writer writer;
  writer.add_string("general.architecture", architecture);
  writer.add_u32(architecture + ".context_length", 4096);
  writer.add_u32(architecture + ".block_count", layers);
  writer.add_u32(architecture + ".embedding_length", 256);
  writer.add_u32(architecture + ".attention.head_count", 8);
  return writer;
}

Result<KvEstimate> estimate(const gguf::Writer& writer, DType type = DType::f16) {
  const std::vector<std::byte> bytes = writer.bytes();
  OCTAVO_ASSIGN(const gguf::File file, gguf::File::parse("k.gguf", bytes.data(), bytes.size()));
  return estimate_kv(file.metadata(), type);
}

TEST(KvEstimate, CountsKeysAndValuesOfEveryLayer) {
  const Result<KvEstimate> plain = estimate(model("qwen2", 3));
  ASSERT_TRUE(plain.ok()) << plain.error().message;
  // 3 layers, 8 heads (no grouped ones), keys and values of 256 / 8, 2 bytes each.
  EXPECT_EQ(plain->global_bytes_per_token, 3u * 8 * (32 + 32) * 2);
  EXPECT_EQ(plain->windowed_bytes_per_token, 0u);
  EXPECT_EQ(plain->window, 0u);

  gguf::Writer grouped = model("qwen2", 3);
  grouped.add_u32("qwen2.attention.head_count_kv", 2);
  grouped.add_u32("qwen2.attention.key_length", 100);
  EXPECT_EQ(estimate(grouped)->global_bytes_per_token, 3u * 2 * (100 + 32) * 2);
  grouped.add_u32("qwen2.attention.value_length", 50);
  EXPECT_EQ(estimate(grouped)->global_bytes_per_token, 3u * 2 * (100 + 50) * 2);

  gguf::Writer uneven = model("qwen2", 3);
  uneven.add_i32s("qwen2.attention.head_count_kv", {1, 2, 4});
  EXPECT_EQ(estimate(uneven)->global_bytes_per_token, 7u * (32 + 32) * 2);
}

TEST(KvEstimate, CountsInTheTypeOfKeysAndValues) {
  gguf::Writer writer = model("qwen2", 3);
  const uint64_t values = 3u * 8 * (32 + 32);
  EXPECT_EQ(estimate(writer, DType::f32)->global_bytes_per_token, values * 4);
  EXPECT_EQ(estimate(writer, DType::q8_0)->global_bytes_per_token, values / 32 * 34);
  EXPECT_EQ(estimate(writer, DType::iq4_nl)->global_bytes_per_token, values / 32 * 18);
  writer.add_u32("qwen2.attention.value_length", 40);
  EXPECT_TRUE(estimate(writer, DType::f16).ok());
  EXPECT_EQ(
      estimate(writer, DType::q8_0).error().message,
      "qwen2.attention.value_length: Q8_0 needs heads of a multiple of 32 dimensions, not of 40");
}

TEST(KvEstimate, KnowsWhichLayersAreWindowed) {
  constexpr uint64_t kLayerBytes = 8 * (32 + 32) * 2;
  const auto split = [](const std::string& architecture, uint32_t layers) {
    gguf::Writer writer = model(architecture, layers);
    writer.add_u32(architecture + ".attention.sliding_window", 512);
    const KvEstimate kv = estimate(writer).value();
    return std::pair(kv.global_bytes_per_token / kLayerBytes,
                     kv.windowed_bytes_per_token / kLayerBytes);
  };
  EXPECT_EQ(split("gemma3", 18), (std::pair<uint64_t, uint64_t>(3, 15)));
  EXPECT_EQ(split("gemma3", 26), (std::pair<uint64_t, uint64_t>(4, 22)));
  EXPECT_EQ(split("gemma2", 5), (std::pair<uint64_t, uint64_t>(2, 3)));
  EXPECT_EQ(split("llama", 5), (std::pair<uint64_t, uint64_t>(0, 5)));
  EXPECT_EQ(split("qwen3", 5), (std::pair<uint64_t, uint64_t>(5, 0)));
}

TEST(KvEstimate, CountsWholeBlocksAndStopsAtTheWindow) {
  KvEstimate kv;
  kv.context_length = 1000;
  kv.window = 40;
  kv.global_bytes_per_token = 1;
  kv.windowed_bytes_per_token = 100;
  EXPECT_EQ(kv.sequence_bytes(0), 0u);
  EXPECT_EQ(kv.sequence_bytes(1), 16u * 101);
  EXPECT_EQ(kv.sequence_bytes(17), 32u * 101);
  // A window of 40 tokens fills three blocks and reaches into a fourth.
  EXPECT_EQ(kv.sequence_bytes(64), 64u * 101);
  EXPECT_EQ(kv.sequence_bytes(65), 80u + 6400);
  EXPECT_EQ(kv.sequence_bytes(1000), 1008u + 6400);
}

TEST(KvEstimate, FindsTheLongestSequence) {
  KvEstimate kv;
  kv.context_length = 1000;
  kv.global_bytes_per_token = 10;
  EXPECT_EQ(kv.longest_sequence(0), 0u);
  EXPECT_EQ(kv.longest_sequence(159), 0u);
  EXPECT_EQ(kv.longest_sequence(160), 16u);
  EXPECT_EQ(kv.longest_sequence(479), 32u);
  EXPECT_EQ(kv.longest_sequence(10'079), 992u);
  EXPECT_EQ(kv.longest_sequence(10'080), 1000u);
  EXPECT_EQ(kv.longest_sequence(~uint64_t{0}), 1000u);
}

TEST(KvEstimate, NamesTheKeyThatIsMissingOrAbsurd) {
  const auto error = [](const gguf::Writer& writer) {
    const Result<KvEstimate> kv = estimate(writer);
    return kv.ok() ? "no error" : kv.error().message;
  };
  EXPECT_EQ(error(gguf::Writer()),
            "k.gguf: key 'general.architecture': missing, and the model cannot be used without it");
  EXPECT_EQ(error(model("llama", 1025)),
            "k.gguf: key 'llama.block_count': 1025 is not between 0 and 1024");
  gguf::Writer heads = model("llama", 2);
  heads.add_i32s("llama.attention.head_count_kv", {1, -1});
  EXPECT_EQ(error(heads),
            "k.gguf: key 'llama.attention.head_count_kv': -1 is not between 0 and 4096");
  gguf::Writer few = model("llama", 2);
  few.add_i32s("llama.attention.head_count_kv", {1});
  EXPECT_EQ(error(few), "k.gguf: key 'llama.attention.head_count_kv': 1 elements for 2 layers");
  gguf::Writer window = model("llama", 2);
  window.add_u32("llama.attention.sliding_window", ~0u);
  EXPECT_EQ(error(window),
            "k.gguf: key 'llama.attention.sliding_window': 4294967295 is not between 0 and "
            "33554432");
}

}  // namespace
}  // namespace octavo::cli
