// SentencePiece's BPE as GGUF files carry it (tokenizer.ggml.model = "llama"): the pair whose token
// has the highest score is merged first, and text without a token is written byte by byte.
//
// Normalisation is only this: spaces become U+2581, and one is put before a text at the start where
// the file asks for it (add_space_prefix). A text that holds U+2581 itself comes back with a space
// in its place. Refers to the Vocabulary, which must outlive it.
#pragma once

#include <array>
#include <memory>

#include "gguf/metadata.h"
#include "octavo/result.h"
#include "text/merger.h"
#include "text/subword_model.h"
#include "text/vocabulary.h"

namespace octavo::text {

class SpmModel final : public SubwordModel {
 public:
  static Result<std::unique_ptr<SubwordModel>> create(const gguf::Metadata& metadata,
                                                      const Vocabulary& vocabulary);

  void encode(std::string_view text, bool at_start, std::vector<int32_t>& out) const override;
  bool adds_space_prefix() const override { return add_space_prefix_; }

 private:
  explicit SpmModel(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}

  void note_inner_spaces(std::string_view token);
  size_t word_length(std::string_view text) const;
  void encode_word(std::string_view word, Merger& merger, std::vector<int32_t>& out) const;

  const Vocabulary& vocabulary_;
  std::vector<uint32_t> priorities_;  // by token: ascending where scores descend
  bool add_space_prefix_ = true;
  // By byte: some token holds a U+2581 right after it. Gemma has one such token of 262144, Llama 2
  // none; after any other byte a space begins a word.
  std::array<bool, 256> precedes_inner_space_ = {};
};

}  // namespace octavo::text
