// UTF-8 primitives (RFC 3629), shared by error messages, tokenizers and the streaming detokenizer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace octavo {

// Bytes of the well-formed UTF-8 character that `text` starts with (1 to 4); 0 when it is malformed
// (overlong, surrogate, above U+10FFFF), cut short, or empty.
size_t utf8_sequence_length(std::string_view text);

// Bytes at the end of `text` that begin a character which later bytes could still complete (0 to
// 3).
size_t utf8_incomplete_suffix(std::string_view text);

// Appends the UTF-8 form of `code_point`; surrogates and values above U+10FFFF become U+FFFD.
void append_utf8(std::string& out, char32_t code_point);

// The code point of a well-formed character of `length` bytes at the start of `text`.
char32_t decode_utf8(std::string_view text, size_t length);

// `text` with every byte that is not part of a well-formed character replaced by U+FFFD.
std::string replace_invalid_utf8(std::string_view text);

}  // namespace octavo
