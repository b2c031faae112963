#include "text/special_tokens.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "text/vocabulary.h"

namespace octavo::text {
namespace {

// Texts that end a turn in the models that have them.
constexpr std::array<std::string_view, 28> turn_ends = {
    "<|eot_id|>",        // Llama 3
    "<|im_end|>",        // ChatML: Qwen, SmolLM2
    "<|end|>",           // Phi-3
    "<end_of_turn>",     // Gemma
    "<|endoftext|>",     // GPT-2, Falcon, Qwen
    "<|end_of_text|>",   // Llama 3, Granite
    "<|eom_id|>",        // Llama 3.1
    "</s>",              // Llama 2, Mistral
    "<eos>",             // Gemma
    "<turn|>",           // Gemma 4
    "<|tool_response>",  // Gemma 4
    "<EOT>",             // CodeLlama
    "<|EOT|>",           // DeepSeek Coder
    "_<EOT>",
    "[EOT]",  // Kimi K2
    "[EOS]",
    "<|return|>",  // harmony
    "<|call|>",
    "<|flush|>",  // Solar
    "<|calls|>",
    "<end_of_utterance>",  // SmolVLM
    "<\xEF\xBD\x9C"
    "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",  // DeepSeek
    "[e~[",                                                // MiniMax
    "<|fim_pad|>",  // fill-in-the-middle: the gap is filled, or another file would begin
    "<|repo_name|>",
    "<|file_sep|>",
    "<fim_pad>",
    "<reponame>",
};

// The first of these that exists is the end of turn, where the metadata names none.
constexpr std::array<std::string_view, 5> eot_texts = {"<|eot_id|>", "<|im_end|>", "<|end|>",
                                                       "<end_of_turn>", "<turn|>"};

Result<std::optional<int32_t>> id_of_key(const gguf::Metadata& metadata, const std::string& key,
                                         int32_t vocabulary_size) {
  if (!metadata.has(key)) return std::optional<int32_t>();
  OCTAVO_ASSIGN(const uint32_t id, metadata.u32(key));
  if (id >= static_cast<uint32_t>(vocabulary_size)) {
    return invalid_input("{}: {}: id {} is outside the vocabulary of {} tokens", metadata.source(),
                         key, id, vocabulary_size);
  }
  return std::optional<int32_t>(static_cast<int32_t>(id));
}

std::optional<int32_t> inside(std::optional<int32_t> id, int32_t vocabulary_size) {
  return id && *id < vocabulary_size ? id : std::nullopt;
}

// The token of that text which ends a turn, or no_token.
int32_t find_turn_end(const Vocabulary& vocabulary, std::string_view text) {
  const auto exists = [&vocabulary](std::string_view other) {
    return vocabulary.find(other) != no_token;
  };
  // Two families have a text inside the turn that ends the turn elsewhere.
  const bool harmony =
      (exists("<|return|>") && exists("<|call|>")) || (exists("<|calls|>") && exists("<|flush|>"));
  if (text == "<|end|>" && harmony) return no_token;
  if (text == "</s>" && exists("<|tool_response>")) return no_token;
  const int32_t id = vocabulary.find(text);
  // A file that calls "</s>" an ordinary token means the mark-up (Qwen's vocabulary has it so);
  // nobody writes "<|im_end|>" by chance, and files that call such a token ordinary are wrong.
  const bool unmistakable = text.substr(0, 2) == "<|";
  if (id != no_token && !unmistakable && vocabulary.kind(id) == TokenKind::normal) return no_token;
  return id;
}

std::vector<int32_t> turn_end_ids(const SpecialTokens& special, const Vocabulary& vocabulary) {
  std::vector<int32_t> ids;
  for (const std::string_view text : turn_ends) {
    const int32_t id = find_turn_end(vocabulary, text);
    if (id != no_token) ids.push_back(id);
  }
  for (const std::optional<int32_t> id : {special.eos, special.eot, special.eom}) {
    if (id) ids.push_back(*id);
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

// Reads one of the two flags. A flag that is set in the file needs its token; a default does not.
Result<bool> flag_of_key(const gguf::Metadata& metadata, const std::string& key, bool fallback,
                         bool has_token) {
  OCTAVO_ASSIGN(const bool set, metadata.boolean_or(key, fallback));
  if (set && !has_token && metadata.has(key)) {
    return invalid_input("{}: {} is true, but the file names no such token", metadata.source(),
                         key);
  }
  return set && has_token;
}

}  // namespace

Result<SpecialTokens> load_special_tokens(const gguf::Metadata& metadata,
                                          const Vocabulary& vocabulary,
                                          const SpecialDefaults& defaults) {
  const int32_t vocabulary_size = vocabulary.size();
  SpecialTokens special;
  special.bos = inside(defaults.bos, vocabulary_size);
  special.eos = inside(defaults.eos, vocabulary_size);
  special.unknown = inside(defaults.unknown, vocabulary_size);
  const std::array<std::pair<const char*, std::optional<int32_t>*>, 6> keys = {{
      {"tokenizer.ggml.bos_token_id", &special.bos},
      {"tokenizer.ggml.eos_token_id", &special.eos},
      {"tokenizer.ggml.eot_token_id", &special.eot},
      {"tokenizer.ggml.eom_token_id", &special.eom},
      {"tokenizer.ggml.unknown_token_id", &special.unknown},
      {"tokenizer.ggml.padding_token_id", &special.padding},
  }};
  for (const auto& [key, target] : keys) {
    OCTAVO_ASSIGN(const std::optional<int32_t> id, id_of_key(metadata, key, vocabulary_size));
    if (id) *target = id;
  }
  for (const std::string_view text : eot_texts) {
    const int32_t id = find_turn_end(vocabulary, text);
    if (!special.eot && id != no_token) special.eot = id;
  }
  const int32_t eom = find_turn_end(vocabulary, "<|eom_id|>");
  if (!special.eom && eom != no_token) special.eom = eom;
  special.end_of_generation = turn_end_ids(special, vocabulary);

  OCTAVO_ASSIGN(special.add_bos, flag_of_key(metadata, "tokenizer.ggml.add_bos_token",
                                             defaults.add_bos, special.bos.has_value()));
  OCTAVO_ASSIGN(special.add_eos, flag_of_key(metadata, "tokenizer.ggml.add_eos_token", false,
                                             special.eos.has_value()));
  return special;
}

}  // namespace octavo::text
