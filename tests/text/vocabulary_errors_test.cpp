// Metadata that is wrong gives one line that names the file, the key and the entry.
#include <limits>

#include "text/support.h"

namespace octavo::text {
namespace {

std::string error_of(const MetadataBuilder& builder) {
  const auto made = Tokenizer::create(builder.metadata());
  if (made.ok()) return "no error";
  EXPECT_EQ(made.error().message.find('\n'), std::string::npos);
  EXPECT_EQ(made.error().message.find("model.gguf"), 0u) << made.error().message;
  return made.error().message;
}

void expect_error(const MetadataBuilder& builder, const std::vector<std::string>& parts) {
  const std::string message = error_of(builder);
  for (const std::string& part : parts) {
    EXPECT_NE(message.find(part), std::string::npos) << message << "\nlacks: " << part;
  }
}

MetadataBuilder small_bpe(std::vector<std::string> tokens, std::vector<std::string> merges) {
  MetadataBuilder builder;
  builder.set("model", string_value("gpt2"))
      .set("tokens", strings_value(std::move(tokens)))
      .set("merges", strings_value(std::move(merges)));
  return builder;
}

TEST(VocabularyErrors, UnknownKinds) {
  MetadataBuilder model;
  model.set("model", string_value("bert"));
  expect_error(model, {"tokenizer.ggml.model", "'bert'", "llama, gpt2, gemma4"});
  MetadataBuilder pre;
  pre.set("model", string_value("gpt2")).set("pre", string_value("superb\x01"));
  expect_error(pre, {"tokenizer.ggml.pre", "'superb\\x01'", "supported are", "qwen2", "smollm"});
  expect_error(MetadataBuilder(), {"tokenizer.ggml.model"});
}

TEST(VocabularyErrors, Tokens) {
  MetadataBuilder none;
  none.set("model", string_value("gpt2"));
  expect_error(none, {"tokenizer.ggml.tokens"});
  expect_error(small_bpe({}, {}), {"tokenizer.ggml.tokens", "0 tokens"});
  expect_error(small_bpe({"a", "b", "a"}, {}), {"'a'", "token 0", "token 2"});
  MetadataBuilder number;
  number.set("model", string_value("gpt2")).set("tokens", u32_value(3));
  expect_error(number, {"tokenizer.ggml.tokens"});
}

TEST(VocabularyErrors, Types) {
  MetadataBuilder length = small_bpe({"a", "b"}, {});
  length.set("token_type", i32s_value({1}));
  expect_error(length, {"tokenizer.ggml.token_type", "1 entries for 2 tokens"});
  MetadataBuilder value = small_bpe({"a", "b"}, {});
  value.set("token_type", i32s_value({1, 9}));
  expect_error(value, {"token 1", "type 9"});
  expect_error(spm({{"xyz", -1, 6}}), {"token 259", "'xyz'", "<0x00>"});
}

TEST(VocabularyErrors, Scores) {
  MetadataBuilder none;
  none.set("model", string_value("llama")).set("tokens", strings_value({"a"}));
  expect_error(none, {"tokenizer.ggml.scores"});
  MetadataBuilder length;
  length.set("model", string_value("llama"))
      .set("tokens", strings_value({"a", "b"}))
      .set("scores", f32s_value({0.5}));
  expect_error(length, {"tokenizer.ggml.scores", "1 scores for 2 tokens"});
  expect_error(spm({{"a", std::numeric_limits<double>::quiet_NaN()}}), {"token 259"});
}

TEST(VocabularyErrors, Merges) {
  MetadataBuilder none;
  none.set("model", string_value("gpt2")).set("tokens", strings_value({"a"}));
  expect_error(none, {"tokenizer.ggml.merges"});
  for (const char* merge : {"", " ", "ab", "a ", " b", "a"}) {
    expect_error(small_bpe({"a", "b", "ab"}, {"a b", merge}), {"tokenizer.ggml.merges", "entry 1"});
  }
  expect_error(small_bpe({"a", "b"}, {"a b"}), {"entry 0", "'ab' is not a token"});
  expect_error(small_bpe({"a", "ab"}, {"a b"}), {"entry 0", "'b' is not a token"});
  expect_error(small_bpe({"b", "ab"}, {"a b"}), {"entry 0", "'a' is not a token"});
}

TEST(VocabularyErrors, SpecialIds) {
  for (const char* key : {"bos_token_id", "eos_token_id", "eot_token_id", "eom_token_id",
                          "unknown_token_id", "padding_token_id"}) {
    MetadataBuilder builder = small_bpe({"a", "b"}, {});
    builder.set(key, u32_value(2));
    expect_error(builder, {std::string("tokenizer.ggml.") + key, "id 2", "2 tokens"});
  }
  MetadataBuilder flag = small_bpe({"a"}, {});
  flag.set("add_bos_token", bool_value(true));
  expect_error(flag, {"tokenizer.ggml.add_bos_token", "names no such token"});
}

// Metadata with one random change either loads or gives an error, and what loads encodes.
TEST(VocabularyErrors, RandomDamageNeverCrashes) {
  const uint64_t seed = 20240508;
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 2000; ++i) {
    std::vector<std::string> tokens = {"a", "b", "ab", "<0x41>", "\u2581", "<s>"};
    std::vector<int64_t> types = {1, 1, 1, 6, 1, 3};
    std::vector<double> scores = {0, 0, -1, 0, 0, 0};
    std::vector<std::string> merges = {"a b"};
    switch (i % 5) {
      case 0:
        tokens[random() % tokens.size()] = random_bytes(random, 8);
        break;
      case 1:
        types[random() % types.size()] = static_cast<int64_t>(random() % 9) - 1;
        break;
      case 2:
        scores.resize(random() % 9, 1e30);
        break;
      case 3:
        merges[0] = random_bytes(random, 6);
        break;
      default:
        types.resize(random() % 9);
        break;
    }
    MetadataBuilder builder;
    builder.set("model", string_value(i % 2 == 0   ? "llama"
                                      : i % 3 == 0 ? "gemma4"
                                                   : "gpt2"))
        .set("tokens", strings_value(tokens))
        .set("token_type", i32s_value(types))
        .set("scores", f32s_value(scores))
        .set("merges", strings_value(merges))
        .set("eos_token_id", u32_value(random() % 7));
    const auto made = Tokenizer::create(builder.metadata());
    if (!made.ok()) continue;
    const std::string text = random_text(random, 10) + random_bytes(random, 10) + "ab<s>";
    (*made)->decode((*made)->encode(text, {true, true}), true);
  }
}

}  // namespace
}  // namespace octavo::text
