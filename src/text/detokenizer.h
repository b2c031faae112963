// Turns a stream of tokens into a stream of text that is UTF-8 at every moment: a character whose
// bytes come in several tokens is held back until it is complete.
//
// One for each sequence; not for concurrent use. Refers to the Tokenizer, which must outlive it.
// Holds at most three bytes. Bytes that can not become a character come out as U+FFFD, one for
// each; the concatenation of all outputs is replace_invalid_utf8 (base/utf8.h) of all pieces.
#pragma once

#include <cstdint>
#include <string>

#include "text/tokenizer.h"

namespace octavo::text {

class Detokenizer {
 public:
  explicit Detokenizer(const Tokenizer& tokenizer, bool show_special = false)
      : tokenizer_(tokenizer), show_special_(show_special) {}

  // The text that is complete once token `id` has come; often empty or more than one character.
  std::string push(int32_t id);
  // The end of the stream: what was held back, as U+FFFD. The next push begins a new stream.
  std::string flush();

 private:
  const Tokenizer& tokenizer_;
  bool show_special_;
  std::string held_;  // the beginning of a character
};

}  // namespace octavo::text
