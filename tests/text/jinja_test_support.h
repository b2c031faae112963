// What the tests of the template language share: variables to compute with, and one-line rendering.
#pragma once

#include <string>

#include "text/chat_template.h"

namespace octavo::text {

inline ChatTemplateInput language_input() {
  auto variables = nlohmann::ordered_json::parse(R"~({
    "text": "Hello, World", "accents": "héllo wörld ☃ 😀", "nothing": null, "yes": true,
    "no": false, "seven": 7, "half": 2.5, "list": [3, 1, 2],
    "table": {"b": 1, "A": 2, "c": {"k": [1, 2]}, "items": 5},
    "quotes": "it's \"q\"\n\t\\", "spaces": "  \u3000 a b \u00a0\n"
  })~");
  ChatTemplateInput input;
  input.messages = nlohmann::ordered_json::parse(R"~([
    {"role": "user", "content": "Hi", "n": 1}, {"role": "assistant", "content": "Yo", "n": 2},
    {"role": "user", "content": null, "n": 3}
  ])~");
  input.bos_token = "<s>";
  input.eos_token = "</s>";
  input.date.tm_year = 2024 - 1900;
  input.date.tm_mon = 6;
  input.date.tm_mday = 26;
  input.date.tm_wday = 5;
  input.date.tm_yday = 207;
  input.extra = std::move(variables);
  return input;
}

// The rendered text, or "error: " and the message.
inline std::string render_or_error(const std::string& source) {
  static const ChatTemplateInput input = language_input();
  const auto parsed = ChatTemplate::parse(source);
  if (!parsed.ok()) return "error: " + parsed.error().message;
  const auto text = parsed->render(input);
  return text.ok() ? *text : "error: " + text.error().message;
}

}  // namespace octavo::text
