// The models that octavo make-model writes: read, judged and run by the engine.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>

#include "cli/model_vocabulary.h"
#include "cli/random_model.h"
#include "gguf/file.h"
#include "octavo/engine.h"
#include "text/tokenizer.h"

namespace octavo::cli {
namespace {

std::vector<std::string> all_type_mixes() {
  std::vector<std::string> names = {"Q4_K_M", "Q5_K_M"};
  for (const DTypeInfo& type : kDTypes) names.emplace_back(type.name);
  return names;
}

gguf::Writer test_model(const std::string& type, uint32_t seed) {
  const ModelPreset preset = find_preset("test").value();
  gguf::Writer writer;
  add_synthetic_vocabulary(writer, preset.vocabulary);
  add_random_model(writer, preset, find_type_mix(type).value(), seed);
  return writer;
}

class MakeModel : public testing::TestWithParam<std::string> {
 protected:
  MakeModel() : folder_(testing::TempDir() + "octavo-make-XXXXXX") {
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
  }
  ~MakeModel() override { std::filesystem::remove_all(folder_); }

  std::string folder_;
};

TEST_P(MakeModel, GeneratesText) {
  EngineConfig config;
  config.model_path = folder_ + "/model.gguf";
  config.threads = 1;
  const Result<void> written = test_model(GetParam(), 1).write(config.model_path);
  ASSERT_TRUE(written.ok()) << written.error().message;
  const auto engine = Engine::create(config);
  ASSERT_TRUE(engine.ok()) << engine.error().message;
  Request request;
  request.prompt = (*engine)->tokenize("Hello, wörld", {}).value();
  EXPECT_EQ(request.prompt.size(), 14u) << "a token for each byte, and the beginning";
  request.sampling.temperature = 0;
  request.sampling.max_tokens = 24;
  request.sampling.ignore_eos = true;
  request.sampling.logprobs = 2;
  const auto stream = (*engine)->submit(request);
  ASSERT_TRUE(stream.ok()) << stream.error().message;
  std::map<int32_t, int> times;
  std::string text;
  int tokens = 0;
  while (const auto event = (*stream)->next()) {
    text += event->text;
    for (const TokenInfo& token : event->tokens) {
      ++tokens;
      ++times[token.token];
      // Among 512 tokens whose logits have a deviation near 1, the best has a probability of some
      // per cent: neither all nor a 512th.
      EXPECT_GT(token.logprob, std::log(1.0F / 256));
      EXPECT_LT(token.logprob, std::log(0.9F));
    }
  }
  EXPECT_EQ(tokens, 24);
  EXPECT_NE(text, "");
  EXPECT_GT(times.size(), 3u) << "the same tokens again and again: " << text;
}

INSTANTIATE_TEST_SUITE_P(AllTypes, MakeModel, testing::ValuesIn(all_type_mixes()),
                         [](const auto& parameter) { return parameter.param; });

TEST(RandomModel, EqualSeedsGiveEqualFiles) {
  EXPECT_EQ(test_model("Q4_K_M", 7).bytes(), test_model("Q4_K_M", 7).bytes());
  EXPECT_NE(test_model("Q4_K_M", 7).bytes(), test_model("Q4_K_M", 8).bytes());
}

TEST(RandomModel, TensorsDiffer) {
  const auto bytes = test_model("F32", 1).bytes();
  const auto file = gguf::File::parse("test", bytes.data(), bytes.size());
  ASSERT_TRUE(file.ok()) << file.error().message;
  std::map<std::string, std::string> names;  // by the first bytes
  for (const gguf::TensorInfo& tensor : file->tensors()) {
    const std::string begin(reinterpret_cast<const char*>(tensor.data), 64);
    EXPECT_EQ(names[begin], "") << tensor.name;
    names[begin] = tensor.name;
  }
}

// The header of a made model, as if its data were there.
std::map<std::string, DType> types_of(const std::string& preset_name, const std::string& type) {
  ModelPreset preset = find_preset(preset_name).value();
  preset.dim = 256;  // 32 layers fit a test's memory
  preset.hidden = 256;
  preset.vocabulary = 258;
  gguf::Writer writer;
  add_random_model(writer, preset, find_type_mix(type).value(), 1);
  const auto bytes = writer.bytes();
  const auto file = gguf::File::parse("model", bytes.data(), bytes.size());
  std::map<std::string, DType> types;
  if (file.ok()) {
    for (const gguf::TensorInfo& tensor : file->tensors()) types[tensor.name] = tensor.type;
  }
  return types;
}

TEST(RandomModel, AMixGivesHalfOfTheLayersMoreBitsAsLlamaCppDoes) {
  const auto types = types_of("llama-8b", "Q4_K_M");
  EXPECT_EQ(types.at("token_embd.weight"), DType::q4_k);
  EXPECT_EQ(types.at("output.weight"), DType::q6_k);
  EXPECT_EQ(types.at("output_norm.weight"), DType::f32);
  // As in the published Q4_K_M of Llama 3.1 8B.
  const std::vector<int> finer = {0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31};
  for (int layer = 0; layer < 32; ++layer) {
    const std::string prefix = "blk." + std::to_string(layer) + ".";
    const bool is_finer = std::find(finer.begin(), finer.end(), layer) != finer.end();
    const DType expected = is_finer ? DType::q6_k : DType::q4_k;
    EXPECT_EQ(types.at(prefix + "attn_v.weight"), expected) << layer;
    EXPECT_EQ(types.at(prefix + "ffn_down.weight"), expected) << layer;
    for (const char* name : {"attn_q", "attn_k", "attn_output", "ffn_gate", "ffn_up"}) {
      EXPECT_EQ(types.at(prefix + name + ".weight"), DType::q4_k) << layer << name;
    }
  }
}

TEST(RandomModel, UnknownNamesAreErrorsThatListTheKnown) {
  EXPECT_EQ(find_preset("llama-9b").error().message,
            "preset: 'llama-9b' is not one of llama-8b, tiny-1b, test");
  const std::string error = find_type_mix("Q9_Z").error().message;
  EXPECT_EQ(error.find("type: 'Q9_Z' is not one of F32, F16, BF16, Q4_0, "), 0u) << error;
}

TEST(ModelVocabulary, ASyntheticOneHasItsSizeAndBytes) {
  for (const uint32_t size : {258U, 512U, 128'256U}) {
    gguf::Writer writer;
    add_synthetic_vocabulary(writer, size);
    const auto bytes = writer.bytes();
    const auto file = gguf::File::parse("vocabulary", bytes.data(), bytes.size());
    ASSERT_TRUE(file.ok()) << file.error().message;
    const auto tokenizer = text::Tokenizer::create(file->metadata());
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    EXPECT_EQ((*tokenizer)->vocabulary_size(), static_cast<int32_t>(size));
    std::string every_byte;
    for (int byte = 0; byte < 256; ++byte) every_byte += static_cast<char>(byte);
    const auto ids = (*tokenizer)->encode(every_byte, {});
    EXPECT_EQ((*tokenizer)->decode(ids), every_byte);
  }
}

TEST(ModelVocabulary, IsCopiedWithTheChatTemplate) {
  const auto from = gguf::File::open(OCTAVO_TEST_DATA "/golden/llama.gguf");
  ASSERT_TRUE(from.ok()) << from.error().message;
  gguf::Writer writer;
  const auto size = copy_vocabulary(from->metadata(), writer);
  ASSERT_TRUE(size.ok()) << size.error().message;
  const auto bytes = writer.bytes();
  const auto copy = gguf::File::parse("copy", bytes.data(), bytes.size());
  ASSERT_TRUE(copy.ok()) << copy.error().message;
  EXPECT_EQ(*copy->metadata().strings("tokenizer.ggml.tokens").value(),
            *from->metadata().strings("tokenizer.ggml.tokens").value());
  EXPECT_EQ(copy->metadata().strings("tokenizer.ggml.tokens").value()->size(), *size);
  size_t keys = 0;
  for (const std::string& key : from->metadata().keys()) keys += key.starts_with("tokenizer.");
  EXPECT_EQ(copy->metadata().keys().size(), keys);
}

TEST(ModelVocabulary, AFileWithoutATokenizerIsAnError) {
  const gguf::Metadata none("none.gguf");
  gguf::Writer writer;
  EXPECT_EQ(copy_vocabulary(none, writer).error().message,
            "none.gguf: key 'tokenizer.ggml.model': missing, and the model cannot be used without "
            "it");
}

}  // namespace
}  // namespace octavo::cli
