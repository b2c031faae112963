// Cuts text into the words that byte-pair merges may not cross, by the patterns that a GGUF file
// names (tokenizer.ggml.pre).
//
// A pre-tokenizer is a row of patterns. Each cuts every piece that the ones before it left into its
// matches and the stretches between them; a piece is matched as a text of its own, so that the end
// of a piece is the end of the text to look-ahead. The patterns are those of the models'
// tokenizer.json files, in the form PCRE2 takes, written so that matching takes linear time.
// Unicode properties are those of the PCRE2 library (Unicode 14 in 10.42).
//
// Owns the compiled patterns. Immutable after create, safe from any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "octavo/result.h"

namespace octavo::text {

class PreTokenizer {
 public:
  // `name` as in tokenizer.ggml.pre. The error for an unknown one lists those that are known.
  static Result<PreTokenizer> create(std::string_view name);

  PreTokenizer(PreTokenizer&&) noexcept;
  PreTokenizer& operator=(PreTokenizer&&) noexcept;
  ~PreTokenizer();

  // The words of `text`, in order and without gaps. `text` may be any bytes: a run of bytes that is
  // not UTF-8 is a word.
  std::vector<std::string_view> split(std::string_view text) const;

  // What else the name says about a model's tokenizer.
  bool ignore_merges() const { return ignore_merges_; }  // a word that is a token needs no merges
  bool add_bos() const { return add_bos_; }              // unless the metadata says otherwise

 private:
  class Pattern;

  PreTokenizer();

  std::vector<std::unique_ptr<Pattern>> patterns_;
  bool ignore_merges_ = false;
  bool add_bos_ = false;
};

}  // namespace octavo::text
