// Byte-pair encoding by a list of merges (tokenizer.ggml.model = "gpt2"; "gemma4"): text is cut
// into words by a PreTokenizer, and within a word the pair that comes first in the list is merged
// first.
//
// With Spelling::byte_alphabet a word starts as its bytes, so that any bytes come back as they were
// if the vocabulary has all 256 (a character with a byte it lacks becomes U+FFFD). With
// Spelling::visible_space it starts as its characters with U+2581 for a space, and a character
// without a token is written byte by byte. Merges are kept by token ids, in one hash table. Refers
// to the Vocabulary, which must outlive it.
#pragma once

#include <memory>

#include "gguf/metadata.h"
#include "octavo/result.h"
#include "text/merger.h"
#include "text/pre_tokenizer.h"
#include "text/subword_model.h"
#include "text/vocabulary.h"

namespace octavo::text {

class BpeModel final : public SubwordModel {
 public:
  static Result<std::unique_ptr<SubwordModel>> create(const gguf::Metadata& metadata,
                                                      const Vocabulary& vocabulary,
                                                      PreTokenizer pre_tokenizer);

  void encode(std::string_view text, bool at_start, std::vector<int32_t>& out) const override;
  bool adds_space_prefix() const override { return false; }

 private:
  struct Slot {
    uint64_t pair = empty_pair;
    Merge merge = {0, no_token};
  };
  static constexpr uint64_t empty_pair = ~uint64_t{0};

  BpeModel(const Vocabulary& vocabulary, PreTokenizer pre_tokenizer)
      : vocabulary_(vocabulary), pre_tokenizer_(std::move(pre_tokenizer)) {}

  Result<void> load_merges(const gguf::Metadata& metadata);
  Slot& slot(int32_t left, int32_t right);  // the pair's, or the empty one where it belongs
  std::optional<Merge> find_merge(int32_t left, int32_t right) const;
  int32_t whole_word(std::string_view word, std::string& scratch) const;
  void encode_word(std::string_view word, Merger& merger, std::vector<int32_t>& out) const;
  bool has_all_bytes(std::string_view text) const;
  std::string with_known_bytes(std::string_view text) const;
  void add_characters(std::string_view word, Merger& merger) const;
  void append_symbol(const Symbol& symbol, std::vector<int32_t>& out) const;

  const Vocabulary& vocabulary_;
  PreTokenizer pre_tokenizer_;
  std::vector<Slot> slots_;  // open addressing, a power of two, at most half full
};

}  // namespace octavo::text
