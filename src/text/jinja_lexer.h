// Cuts a template into text and the tokens of its tags, and applies Jinja's whitespace control with
// trim_blocks and lstrip_blocks on, as Hugging Face's chat templates expect.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace octavo::text::jinja {

enum class TokenKind {
  data,  // text between the tags
  block_begin,
  block_end,
  output_begin,  // {{
  output_end,
  name,
  string,
  integer,
  real,
  op,
  end,
};

struct Token {
  TokenKind kind = TokenKind::end;
  int line = 1;
  std::string text;  // of data, name, op; a string without quotes and escapes
  int64_t integer = 0;
  double real = 0;
};

// The last token is `end`. Throws TemplateError.
std::vector<Token> tokenize(std::string_view source);

}  // namespace octavo::text::jinja
