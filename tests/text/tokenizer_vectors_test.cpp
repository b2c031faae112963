// Every text of the shared vectors (llama.cpp's, MIT) and of our own gives the expected ids, in
// each vocabulary.
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "text/support.h"

namespace octavo::text {
namespace {

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<std::string> split(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  size_t at = 0;
  while (true) {
    const size_t end = text.find(separator, at);
    parts.push_back(text.substr(at, end == std::string::npos ? end : end - at));
    if (end == std::string::npos) return parts;
    at = end + separator.size();
  }
}

std::vector<int32_t> parse_ids(const std::string& line) {
  std::istringstream in(line);
  std::vector<int32_t> ids;
  for (int32_t id = 0; in >> id;) ids.push_back(id);
  return ids;
}

class SharedVectors : public testing::TestWithParam<const char*> {};

TEST_P(SharedVectors, GiveTheExpectedIds) {
  const SharedVocabulary shared = open_shared_vocabulary(GetParam());
  OCTAVO_REQUIRE_VOCABULARY(shared, GetParam());
  const std::string path = shared_vocabulary_path(GetParam());
  std::vector<std::string> texts = split(read_file(path + ".inp"), "\n__ggml_vocab_test__\n");
  std::vector<std::string> lines = split(read_file(path + ".out"), "\n");
  while (!lines.empty() && lines.back().empty() && lines.size() > texts.size()) lines.pop_back();
  if (texts.size() > lines.size() && texts.back().empty()) texts.pop_back();
  ASSERT_EQ(texts.size(), lines.size());
  ASSERT_GT(texts.size(), 40u);
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(ids_of(*shared.tokenizer, texts[i]), parse_ids(lines[i]))
        << "text " << i << ": '" << texts[i] << "'";
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, SharedVectors,
                         testing::Values("llama-spm", "llama-bpe", "phi-3", "qwen2", "gpt-2",
                                         "falcon", "deepseek-coder"));

nlohmann::json own_vectors() {
  return nlohmann::json::parse(
      read_file(std::string(OCTAVO_TEST_DATA) + "/tokenizer/llama_cpp.json"));
}

// llama-bpe's vocabulary under another pre-tokenizer's name, as tools/make_tokenizer_vectors.py has
// it.
TEST(OwnVectors, EveryPreTokenizerGivesTheExpectedIds) {
  const SharedVocabulary shared = open_shared_vocabulary("llama-bpe");
  OCTAVO_REQUIRE_VOCABULARY(shared, "llama-bpe");
  const nlohmann::json vectors = own_vectors();
  const gguf::Metadata& metadata = shared.file->metadata();
  for (const auto& [pre_tokenizer, rows] : vectors["pre_tokenizers"].items()) {
    MetadataBuilder changed;
    changed.set("pre", string_value(pre_tokenizer));
    for (const char* key : {"model", "tokens", "token_type", "merges"}) {
      changed.set(key, *metadata.find(std::string("tokenizer.ggml.") + key));
    }
    const auto tokenizer = must_create(changed.metadata());
    ASSERT_NE(tokenizer, nullptr);
    ASSERT_EQ(rows.size(), vectors["texts"].size());
    for (size_t i = 0; i < rows.size(); ++i) {
      const std::string text = vectors["texts"][i];
      EXPECT_EQ(ids_of(*tokenizer, text), rows[i].get<std::vector<int32_t>>())
          << pre_tokenizer << ": '" << text << "'";
    }
  }
}

TEST(OwnVectors, SmolLm2GivesTheExpectedIds) {
  const char* path = std::getenv("OCTAVO_TEST_SMOLLM2");
  if (path == nullptr) GTEST_SKIP() << "OCTAVO_TEST_SMOLLM2 does not name SmolLM2's GGUF file";
  auto file = gguf::File::open(path);
  ASSERT_TRUE(file.ok()) << file.error().message;
  const auto tokenizer = must_create(file->metadata());
  ASSERT_NE(tokenizer, nullptr);
  const nlohmann::json vectors = own_vectors();
  for (size_t i = 0; i < vectors["texts"].size(); ++i) {
    EXPECT_EQ(ids_of(*tokenizer, vectors["texts"][i].get<std::string>()),
              vectors["smollm2"][i].get<std::vector<int32_t>>());
  }
  for (size_t i = 0; i < vectors["special_texts"].size(); ++i) {
    EXPECT_EQ(ids_of(*tokenizer, vectors["special_texts"][i].get<std::string>(), {true, true}),
              vectors["smollm2_special"][i].get<std::vector<int32_t>>());
  }
}

}  // namespace
}  // namespace octavo::text
