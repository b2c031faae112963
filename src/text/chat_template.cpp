#include "text/chat_template.h"

#include <algorithm>
#include <new>

#include "base/check.h"
#include "base/error.h"
#include "base/utf8.h"
#include "text/jinja_interpreter.h"
#include "text/jinja_json.h"
#include "text/jinja_parser.h"

namespace octavo::text {

namespace jinja {

struct Template {
  Block block;
};

}  // namespace jinja

namespace {

Error to_error(const jinja::TemplateError& error) {
  const std::string message = printable(error.message, 1000);
  if (error.line == 0) return {error.kind, message};
  return {error.kind, fmt::format("chat template line {}: {}", error.line, message)};
}

// The engine throws inside; nothing it throws leaves this file.
template <class T, class Work>
Result<T> contained(Work work) {
  try {
    return work();
  } catch (const jinja::TemplateError& error) {
    return to_error(error);
  } catch (const std::bad_alloc&) {
    return resource_error("chat template: out of memory");
  }
}

// The line of the first byte that is not UTF-8; 0 when there is none.
size_t invalid_utf8_line(std::string_view source) {
  for (size_t at = 0; at < source.size();) {
    const size_t length = utf8_sequence_length(source.substr(at));
    if (length == 0) {
      return 1 + static_cast<size_t>(std::count(source.begin(), source.begin() + at, '\n'));
    }
    at += length;
  }
  return 0;
}

void set_variables(jinja::Runtime& runtime, jinja::Interpreter& interpreter,
                   const ChatTemplateInput& input) {
  const auto set = [&](const std::string& name, const nlohmann::ordered_json& value) {
    interpreter.set_variable(name, jinja::from_json(runtime, value));
  };
  set("messages", input.messages);
  set("tools", input.tools);
  set("documents", nullptr);
  set("add_generation_prompt", input.add_generation_prompt);
  set("bos_token", input.bos_token);
  set("eos_token", input.eos_token);
  for (const auto& [name, value] : input.extra.items()) set(name, value);
}

}  // namespace

ChatTemplate::ChatTemplate(std::shared_ptr<const jinja::Template> parsed)
    : template_(std::move(parsed)) {}

Result<ChatTemplate> ChatTemplate::parse(std::string_view source) {
  if (source.size() > jinja::max_source_bytes) {
    return invalid_input("chat template: {} bytes are more than {}", source.size(),
                         jinja::max_source_bytes);
  }
  if (const size_t line = invalid_utf8_line(source)) {
    return invalid_input("chat template line {}: not UTF-8", line);
  }
  return contained<ChatTemplate>([&] {
    return ChatTemplate(
        std::make_shared<const jinja::Template>(jinja::Template{jinja::parse(source)}));
  });
}

Result<std::string> ChatTemplate::render(const ChatTemplateInput& input) const {
  if (!input.messages.is_array()) return invalid_input("messages: not a list");
  if (!input.extra.is_null() && !input.extra.is_object()) {
    return invalid_input("chat template variables: not an object");
  }
  return contained<std::string>([&] {
    jinja::Runtime runtime(input.date);
    jinja::Interpreter interpreter(runtime);
    set_variables(runtime, interpreter, input);
    return interpreter.render(template_->block);
  });
}

ChatTemplate default_template() {
  auto parsed = ChatTemplate::parse(
      "{% for message in messages %}"
      "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
      "{% endfor %}"
      "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}");
  OCTAVO_CHECK(parsed.ok());
  return std::move(parsed).value();
}

}  // namespace octavo::text
