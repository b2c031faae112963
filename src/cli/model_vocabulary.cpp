#include "cli/model_vocabulary.h"

#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer.h"

namespace octavo::cli {
namespace {

constexpr uint32_t kByteTokens = 256;
constexpr uint32_t kControlTokens = 2;

// GGUF's numbers for a token's kind.
constexpr int32_t kNormal = 1;
constexpr int32_t kControl = 3;

// A space and three syllables; no two numbers below a million give the same word.
std::string made_up_word(uint32_t number) {
  constexpr std::string_view kConsonants = "bcdfghjklmnpqrstvwxz";
  constexpr std::string_view kVowels = "aeiou";
  constexpr uint32_t kSyllables = kConsonants.size() * kVowels.size();
  std::string word(text::alphabet_character(' '));
  for (int i = 0; i < 3; ++i, number /= kSyllables) {
    const uint32_t syllable = number % kSyllables;
    word += kConsonants[syllable / kVowels.size()];
    word += kVowels[syllable % kVowels.size()];
  }
  return word;
}

}  // namespace

Result<uint32_t> copy_vocabulary(const gguf::Metadata& from, gguf::Writer& writer) {
  OCTAVO_ASSIGN(const auto tokenizer, text::Tokenizer::create(from));
  for (const std::string& key : from.keys()) {
    if (key.starts_with("tokenizer.")) writer.add(key, *from.find(key));
  }
  return static_cast<uint32_t>(tokenizer->vocabulary_size());
}

void add_synthetic_vocabulary(gguf::Writer& writer, uint32_t size) {
  OCTAVO_CHECK(size >= kByteTokens + kControlTokens && size < 1'000'000, "{} tokens", size);
  const uint32_t bos = size - 2;
  const uint32_t eos = size - 1;
  std::vector<std::string> tokens;
  for (uint32_t byte = 0; byte < kByteTokens; ++byte) {
    tokens.emplace_back(text::alphabet_character(static_cast<uint8_t>(byte)));
  }
  for (uint32_t id = kByteTokens; id < bos; ++id) tokens.push_back(made_up_word(id - kByteTokens));
  tokens.emplace_back("<|begin_of_text|>");
  tokens.emplace_back("<|end_of_text|>");
  std::vector<int32_t> kinds(size, kNormal);
  kinds[bos] = kControl;
  kinds[eos] = kControl;
  writer.add_string("tokenizer.ggml.model", "gpt2");
  writer.add_string("tokenizer.ggml.pre", "llama-bpe");
  writer.add_strings("tokenizer.ggml.tokens", std::move(tokens));
  writer.add_i32s("tokenizer.ggml.token_type", kinds);
  writer.add_strings("tokenizer.ggml.merges", {});
  writer.add_u32("tokenizer.ggml.bos_token_id", bos);
  writer.add_u32("tokenizer.ggml.eos_token_id", eos);
  writer.add_bool("tokenizer.ggml.add_bos_token", true);
}

}  // namespace octavo::cli
