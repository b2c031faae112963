// What the tests of this folder share: vocabularies made by hand, those of the shared data folder,
// and random text.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "gguf/file.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer.h"

namespace octavo::text {

inline gguf::Value string_value(std::string text) {
  return {gguf::ValueType::string, gguf::Scalar(std::move(text))};
}

inline gguf::Value u32_value(uint64_t number) {
  return {gguf::ValueType::u32, gguf::Scalar(number)};
}

inline gguf::Value bool_value(bool flag) {
  return {gguf::ValueType::boolean, gguf::Scalar(flag)};
}

inline gguf::Value strings_value(std::vector<std::string> strings) {
  gguf::Array array;
  array.element_type = gguf::ValueType::string;
  array.strings = std::move(strings);
  return {gguf::ValueType::array, std::move(array)};
}

inline gguf::Value i32s_value(std::vector<int64_t> numbers) {
  gguf::Array array;
  array.element_type = gguf::ValueType::i32;
  array.signed_values = std::move(numbers);
  return {gguf::ValueType::array, std::move(array)};
}

inline gguf::Value f32s_value(std::vector<double> numbers) {
  gguf::Array array;
  array.element_type = gguf::ValueType::f32;
  array.float_values = std::move(numbers);
  return {gguf::ValueType::array, std::move(array)};
}

// Metadata in the making; `file` is the name in errors.
class MetadataBuilder {
 public:
  MetadataBuilder& set(const std::string& key, gguf::Value value) {
    EXPECT_TRUE(metadata_.insert("tokenizer.ggml." + key, std::move(value)).ok());
    return *this;
  }
  const gguf::Metadata& metadata() const { return metadata_; }

 private:
  gguf::Metadata metadata_{"model.gguf"};
};

inline std::unique_ptr<Tokenizer> must_create(const gguf::Metadata& metadata) {
  auto made = Tokenizer::create(metadata);
  if (!made) {
    ADD_FAILURE() << made.error().message;
    return nullptr;
  }
  return std::move(made).value();
}

inline std::vector<int32_t> ids_of(const Tokenizer& tokenizer, std::string_view text,
                                   EncodeOptions options = {false, false}) {
  return tokenizer.encode(text, options);
}

// A byte-level vocabulary of the 256 bytes, the given merges ("a b", in the alphabet), and control
// tokens after them.
inline MetadataBuilder byte_level(const std::vector<std::string>& merges,
                                  const std::vector<std::string>& control = {},
                                  const std::string& pre_tokenizer = "gpt-2") {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) {
    tokens.emplace_back(alphabet_character(static_cast<uint8_t>(byte)));
  }
  for (const std::string& merge : merges) {
    const size_t space = merge.find(' ', 1);
    const std::string merged = merge.substr(0, space) + merge.substr(space + 1);
    if (std::find(tokens.begin(), tokens.end(), merged) == tokens.end()) tokens.push_back(merged);
  }
  std::vector<int64_t> types(tokens.size(), 1);
  tokens.insert(tokens.end(), control.begin(), control.end());
  types.resize(tokens.size(), 3);
  MetadataBuilder builder;
  builder.set("model", string_value("gpt2"))
      .set("pre", string_value(pre_tokenizer))
      .set("tokens", strings_value(tokens))
      .set("token_type", i32s_value(types))
      .set("merges", strings_value(merges));
  return builder;
}

struct SpmToken {
  std::string text;
  double score;
  int64_t type = 1;
};

// A SentencePiece vocabulary: <unk>, <s>, </s>, the 256 bytes, then the given tokens from 259 on.
inline MetadataBuilder spm(const std::vector<SpmToken>& added) {
  std::vector<SpmToken> all = {{"<unk>", 0, 2}, {"<s>", 0, 3}, {"</s>", 0, 3}};
  for (int byte = 0; byte < 256; ++byte) all.push_back({fmt::format("<0x{:02X}>", byte), 0, 6});
  all.insert(all.end(), added.begin(), added.end());
  std::vector<std::string> tokens;
  std::vector<double> scores;
  std::vector<int64_t> types;
  for (const SpmToken& token : all) {
    tokens.push_back(token.text);
    scores.push_back(token.score);
    types.push_back(token.type);
  }
  MetadataBuilder builder;
  builder.set("model", string_value("llama"))
      .set("tokens", strings_value(tokens))
      .set("scores", f32s_value(scores))
      .set("token_type", i32s_value(types));
  return builder;
}
constexpr int32_t first_spm_token = 259;

// A vocabulary of the shared data folder, or nullptr where the folder is absent.
struct SharedVocabulary {
  std::unique_ptr<gguf::File> file;
  std::unique_ptr<Tokenizer> tokenizer;
};

inline std::string shared_vocabulary_path(const std::string& name) {
  return std::string(OCTAVO_SHARED_DATA) + "/tokenizers/ggml-vocab-" + name + ".gguf";
}

inline SharedVocabulary open_shared_vocabulary(const std::string& name) {
  SharedVocabulary opened;
  const std::string path = shared_vocabulary_path(name);
  if (!std::filesystem::exists(path)) return opened;
  auto file = gguf::File::open(path);
  if (!file) {
    ADD_FAILURE() << file.error().message;
    return opened;
  }
  opened.file = std::make_unique<gguf::File>(std::move(file).value());
  opened.tokenizer = must_create(opened.file->metadata());
  return opened;
}

#define OCTAVO_REQUIRE_VOCABULARY(opened, name)                                      \
  if ((opened).tokenizer == nullptr) {                                               \
    GTEST_SKIP() << "no " << shared_vocabulary_path(name) << ": shared data absent"; \
  }

// Random UTF-8 that looks like nothing in particular: words, white space, digits, punctuation,
// other scripts, emoji, and now and then any character at all.
inline std::string random_text(std::mt19937_64& random, size_t max_characters) {
  static const std::vector<std::string> samples = {"the",    " ",
                                                   "  ",     "\n",
                                                   "\r\n",   "\t",
                                                   "a",      "B",
                                                   "Ing",    "'s",
                                                   "'RE",    "don't",
                                                   "7",      "2024",
                                                   ".",      ",",
                                                   "!?",     "--",
                                                   "(",      "]}",
                                                   "\\n",    "http:",
                                                   "é",      "ß",
                                                   "Über",   "不",
                                                   "我们",   "か",
                                                   "カ",     "한국",
                                                   "नमस्ते",   "ไทย",
                                                   "🙂",   "👩‍👩‍👧",
                                                   "½",      "٣",
                                                   "\u00a0", "\u2003",
                                                   "\u2581", "\u200d",
                                                   "\u0301", "\u180e",
                                                   "\u0085", "$",
                                                   "^",      "`"};
  std::uniform_int_distribution<size_t> count(0, max_characters);
  std::uniform_int_distribution<size_t> pick(0, samples.size() - 1);
  std::uniform_int_distribution<int> percent(0, 99);
  std::uniform_int_distribution<uint32_t> any(0, 0x10FFFF);
  std::string text;
  for (size_t left = count(random); left > 0; --left) {
    if (percent(random) < 85) {
      text += samples[pick(random)];
    } else {
      append_utf8(text, any(random));
    }
  }
  return text;
}

inline std::string random_bytes(std::mt19937_64& random, size_t max_bytes) {
  std::uniform_int_distribution<size_t> count(0, max_bytes);
  std::uniform_int_distribution<int> byte(0, 255);
  std::string text(count(random), '\0');
  for (char& c : text) c = static_cast<char>(byte(random));
  return text;
}

}  // namespace octavo::text
