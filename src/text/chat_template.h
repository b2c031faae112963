// Chat templates: how a model wants a conversation written, as a Jinja template out of its file.
//
// Covers the language that the chat templates of Hugging Face's models use, rendered as
// transformers' apply_chat_template does: Jinja2 with trim_blocks and lstrip_blocks, break and
// continue, raise_exception, strftime_now, transformers' tojson, and {% generation %}, which does
// nothing here. Not covered: inheritance, includes and imports, recursive loops, calls with * and
// **, integers beyond 64 bits, and the case of letters beyond ASCII. Limits: jinja_limits.h.
//
// A ChatTemplate is immutable: parse once, render many times, from many threads at once.
#pragma once

#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "octavo/result.h"

namespace octavo::text {

namespace jinja {
struct Template;
}

struct ChatTemplateInput {
  nlohmann::ordered_json messages;  // a list of {"role": ..., "content": ...}
  nlohmann::ordered_json tools;     // a list of function descriptions, or null
  bool add_generation_prompt = true;
  std::string bos_token;
  std::string eos_token;
  std::tm date = {};             // what strftime_now formats
  nlohmann::ordered_json extra;  // further variables, an object or null; they win over the above
};

class ChatTemplate {
 public:
  // Errors: "chat template line 12: what is wrong".
  static Result<ChatTemplate> parse(std::string_view source);

  // The prompt's text. The error is the template's own message where it calls raise_exception.
  Result<std::string> render(const ChatTemplateInput& input) const;

 private:
  explicit ChatTemplate(std::shared_ptr<const jinja::Template> parsed);

  std::shared_ptr<const jinja::Template> template_;
};

// ChatML, for models whose file brings no template.
ChatTemplate default_template();

}  // namespace octavo::text
