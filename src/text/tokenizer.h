// A model's tokenizer, read from the metadata of its GGUF file: text to token ids and back.
//
// Kinds (tokenizer.ggml.model): "llama", SentencePiece's BPE (text/spm_model.h); "gpt2", byte-level
// BPE, and "gemma4", BPE over characters (text/bpe_model.h). What decode(encode(x)) keeps of x is
// said there. Owns everything it needs. Immutable after create: any number of threads may use one.
// Ids passed in must be in [0, vocabulary_size()); whoever takes ids from outside checks them
// first.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/metadata.h"
#include "octavo/result.h"
#include "text/byte_trie.h"
#include "text/subword_model.h"
#include "text/vocabulary.h"

namespace octavo::text {

struct EncodeOptions {
  // Puts BOS before and EOS after the text where the metadata says so.
  bool add_special = true;
  // Special tokens that are written out in the text become their ids. Never for text from a user:
  // it could pretend to be another turn of the conversation.
  bool parse_special = false;
};

class Tokenizer {
 public:
  // The longest text that encode() takes.
  static constexpr size_t max_text_bytes = size_t{1} << 30;

  // An error for a kind or pre-tokenizer that is not supported lists those that are; errors in the
  // metadata name the key and the entry.
  static Result<std::unique_ptr<Tokenizer>> create(const gguf::Metadata& metadata);

  // The tokens of `text`, any bytes, at most max_text_bytes of them (a longer one is a broken
  // invariant; servers limit their bodies). Takes O(n log n) time.
  std::vector<int32_t> encode(std::string_view text, EncodeOptions options = {}) const;

  // The text of `ids`. Control and unknown tokens are left out unless `show_special`. The space
  // that encode() puts before a text is taken away again. The result is UTF-8 where the ids came
  // from UTF-8; a streaming decoder that always gives UTF-8 is in text/detokenizer.h.
  std::string decode(std::span<const int32_t> ids, bool show_special = false) const;

  // The bytes that one token stands for; part of a character, for some. A control or unknown
  // token's are its written form.
  std::string_view piece(int32_t id) const { return vocabulary_.piece(id); }
  // How the token is written in the file, and the token that is written so.
  std::string_view token_text(int32_t id) const { return vocabulary_.text(id); }
  std::optional<int32_t> find_token(std::string_view token_text) const;

  int32_t vocabulary_size() const { return vocabulary_.size(); }
  const SpecialTokens& special() const { return vocabulary_.special(); }
  std::optional<int32_t> bos() const { return special().bos; }
  std::optional<int32_t> eos() const { return special().eos; }
  std::optional<int32_t> eot() const { return special().eot; }
  // Control and unknown tokens, which decode() leaves out.
  bool is_special(int32_t id) const { return vocabulary_.is_special(id); }
  // The model says with this token that its answer is complete: EOS, end of turn and the like.
  bool is_end_of_generation(int32_t id) const;

 private:
  struct Match {
    int32_t id = no_token;
    size_t length = 0;
  };

  explicit Tokenizer(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {}

  void collect_written_tokens(bool phi3);
  Match match_written_token(std::string_view text, bool parse_special) const;
  void encode_text(std::string_view text, bool parse_special, std::vector<int32_t>& out) const;

  const Vocabulary vocabulary_;
  std::unique_ptr<SubwordModel> model_;
  ByteTrie written_tokens_;  // tokens that are looked for in the text before it is cut into words
  std::vector<bool> swallows_space_;  // by token: white space after it is dropped (Phi-3)
};

}  // namespace octavo::text
