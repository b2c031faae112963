#include "cli/inspect.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "gguf/writer.h"

namespace octavo::cli {
namespace {

// 8 layers x 2 KV heads x (32 + 32) values x 2 bytes = 2 KiB a token; 4 MiB + 1088 bytes of
// weights.
std::vector<std::byte> example() {
  gguf::Writer writer;
  writer.add_string("general.architecture", "qwen2");
  writer.add_u32("qwen2.context_length", 4096);
  writer.add_u32("qwen2.block_count", 8);
  writer.add_u32("qwen2.embedding_length", 256);
  writer.add_u32("qwen2.attention.head_count", 8);
  writer.add_u32("qwen2.attention.head_count_kv", 2);
  writer.add_f32("qwen2.rope.freq_base", 0.1f);
  writer.add_string("text", std::string(70, 'x') + "\n");
  writer.add_string("not.utf8", "\xFF");
  writer.add("double", {gguf::ValueType::f64, gguf::Scalar(0.1)});
  writer.add_bool("flag", true);
  writer.add_strings("tokens", {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"});
  writer.add_i32s("few", {-1, 2});
  writer.add_tensor("big", DType::f32, {1024, 1024}, std::vector<std::byte>(4u << 20));
  writer.add_tensor("small", DType::q8_0, {256, 2, 2}, std::vector<std::byte>(32 * 34));
  return writer.bytes();
}

std::string inspected(const std::vector<std::byte>& bytes, const InspectOptions& options) {
  const Result<gguf::File> file = gguf::File::parse("i.gguf", bytes.data(), bytes.size());
  EXPECT_TRUE(file.ok()) << file.error().message;
  return inspect(*file, options);
}

void expect_line(const std::string& text, const std::string& line) {
  EXPECT_NE(text.find("\n" + line + "\n"), std::string::npos) << line << "\nis not in\n" << text;
}

TEST(Inspect, PrintsMetadataTensorsAndTotals) {
  const std::string text = inspected(example(), {});
  EXPECT_EQ(
      text.rfind("i.gguf: GGUF version 3, 4.0 MiB\n1.0 M parameters, 4.0 MiB of weights\n", 0), 0u)
      << text;
  expect_line(text, "metadata (13 keys)");
  expect_line(text, "  general.architecture           string  \"qwen2\"");
  expect_line(text, "  qwen2.rope.freq_base           f32     0.1");
  expect_line(text, "  text                           string  \"" + std::string(60, 'x') + "...\"");
  expect_line(text, "  not.utf8                       string  \"\\xff\"");
  expect_line(text, "  double                         f64     0.1");
  expect_line(text, "  flag                           bool    true");
  expect_line(text,
              "  tokens                         array   [\"a\", \"b\", \"c\", \"d\", \"e\", \"f\", "
              "\"g\", \"h\", ...] (10 x string)");
  expect_line(text, "  few                            array   [-1, 2] (2 x i32)");
  expect_line(text, "tensors (2)");
  EXPECT_NE(text.find("  big    F32   1024 x 1024  4194304 bytes  at "), std::string::npos) << text;
  EXPECT_NE(text.find("  small  Q8_0  256 x 2 x 2  1088 bytes     at "), std::string::npos) << text;
  expect_line(text, "  F32   1 tensors  1.0 M parameters  4.0 MiB");
  expect_line(text, "  Q8_0  1 tensors  1024 parameters   1.1 KiB");
  expect_line(text, "  type    one token  4096 tokens");
  expect_line(text, "  f32     4.0 KiB    16.0 MiB");
  expect_line(text, "  f16     2.0 KiB    8.0 MiB");
  expect_line(text, "  q8_0    1.1 KiB    4.2 MiB");
  EXPECT_EQ(text.find("of memory"), std::string::npos);
}

TEST(Inspect, SaysWhatFitsBesideTheWeights) {
  InspectOptions options;
  options.memory_bytes = (4u << 20) + 1088 + (20u << 20);
  const std::string text = inspected(example(), options);
  expect_line(text, "in 24.0 MiB of memory (4.0 MiB of weights, 20.0 MiB for the KV cache)");
  expect_line(text, "  type    longest sequence  sequences of 4096  sequences of 1024");
  expect_line(text, "  f16     4096 tokens       2                  10");
  expect_line(text, "  q8_0    4096 tokens       4                  18");

  options.memory_bytes = (4u << 20) + 1088 + (1u << 20);
  expect_line(inspected(example(), options), "  f16     512 tokens        0                  0");
  options.memory_bytes = 1000;  // not even the weights
  const std::string nothing = inspected(example(), options);
  expect_line(nothing, "  f16     0 tokens          0                  0");
}

TEST(Inspect, SaysTheSameInJson) {
  const InspectOptions options = {true, (4u << 20) + 1088 + (20u << 20)};
  const auto json = nlohmann::json::parse(inspected(example(), options));
  EXPECT_EQ(json["path"], "i.gguf");
  EXPECT_EQ(json["version"], 3);
  EXPECT_EQ(json["parts"], 1);
  EXPECT_EQ(json["parameters"], 1024 * 1024 + 1024);
  EXPECT_EQ(json["weight_bytes"], (4 << 20) + 1088);
  const auto& metadata = json["metadata"];
  EXPECT_EQ(metadata["general.architecture"], "qwen2");
  EXPECT_EQ(metadata["text"], std::string(70, 'x') + "\n");
  EXPECT_EQ(metadata["not.utf8"], "\xEF\xBF\xBD");
  EXPECT_EQ(metadata["flag"], true);
  EXPECT_EQ(metadata["tokens"]["length"], 10);
  EXPECT_EQ(metadata["tokens"]["element_type"], "string");
  EXPECT_EQ(metadata["tokens"]["first"].size(), 8u);
  EXPECT_EQ(metadata["few"]["first"], nlohmann::json({-1, 2}));
  EXPECT_EQ(json["tensors"][1]["name"], "small");
  EXPECT_EQ(json["tensors"][1]["shape"], nlohmann::json({256, 2, 2}));
  EXPECT_EQ(json["types"][0]["type"], "F32");
  EXPECT_EQ(json["types"][0]["bytes"], 4 << 20);
  const auto& kv = json["kv_cache"];
  EXPECT_EQ(kv["context_length"], 4096);
  EXPECT_EQ(kv["kv_bytes"], 20 << 20);
  const auto& f16 = kv["types"][1];
  EXPECT_EQ(f16["type"], "f16");
  EXPECT_EQ(f16["global_bytes_per_token"], 2048);
  EXPECT_EQ(f16["full_context_bytes"], 8 << 20);
  EXPECT_EQ(f16["full_sequences"], 2);
  EXPECT_EQ(f16["short_sequences"], 10);
  EXPECT_EQ(f16["longest_sequence_tokens"], 4096);
}

TEST(Inspect, SaysWhyTheKvCacheIsNotKnown) {
  gguf::Writer writer;
  writer.add_string("general.architecture", "llama");
  const std::string reason =
      "i.gguf: key 'llama.context_length': missing, and the model cannot be used without it";
  expect_line(inspected(writer.bytes(), {}), "KV cache: not known (" + reason + ")");
  const InspectOptions options = {true, 0};
  const auto json = nlohmann::json::parse(inspected(writer.bytes(), options));
  EXPECT_EQ(json["kv_cache"]["error"], reason);
}

TEST(Inspect, TakesRealModels) {
  const std::filesystem::path folder = OCTAVO_SHARED_DATA;
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is absent";
  const Result<gguf::File> file =
      gguf::File::open((folder / "models/stories260K.f32.gguf").string());
  ASSERT_TRUE(file.ok()) << file.error().message;
  const auto json = nlohmann::json::parse(inspect(*file, {true, 1u << 30}));
  // Its heads have 8 dimensions, which q8_0 and iq4_nl cannot have.
  ASSERT_EQ(json["kv_cache"]["types"].size(), 3u);
  EXPECT_GT(json["kv_cache"]["types"][0]["short_sequences"].get<uint64_t>(), 0u);
  EXPECT_EQ(json["metadata"]["tokenizer.ggml.tokens"]["length"], 512);
}

}  // namespace
}  // namespace octavo::cli
