// What `octavo tokenize` prints: the tokens of a text, for people and for programs.
//
// Pure functions; the caller reads the text, encodes it and writes the result.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "text/tokenizer.h"

namespace octavo::cli {

enum class TokenFormat {
  table,  // one line a token: id, piece, and whether it is special; then the number of tokens
  ids,    // the ids on one line, with spaces between
  json,   // {"count": n, "tokens": [{"id": 1, "piece": "a", "special": false}, ...]}
};

// `ids` must be inside the tokenizer's vocabulary. In the table a piece is quoted, with escapes for
// control characters and for bytes that are not a whole character. JSON can hold only text: there a
// piece that is not UTF-8 is shown with U+FFFD and followed by its bytes in "bytes".
std::string format_tokens(const text::Tokenizer& tokenizer, std::span<const int32_t> ids,
                          TokenFormat format);

}  // namespace octavo::cli
