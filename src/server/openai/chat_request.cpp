#include "server/openai/chat_request.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace octavo::server {
namespace {

constexpr size_t kMostMessages = 65536;

// A text, or the texts of its parts, one below the other.
Result<std::string> read_content(const Json& content, const std::string& where) {
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) {
    return invalid_input("{}: a string or a list of parts expected, not {}", where,
                         content.type_name());
  }
  std::string text;
  for (size_t i = 0; i < content.size(); ++i) {
    const Json& part = content[i];
    const std::string place = fmt::format("{}[{}]", where, i);
    const Json type = part.is_object() ? part.value("type", Json()) : Json();
    if (type != "text") {
      return invalid_input("{}.type: only \"text\" is supported yet", place);
    }
    const auto found = part.find("text");
    if (found == part.end() || !found->is_string()) {
      return invalid_input("{}.text: a string expected", place);
    }
    if (i > 0) text += '\n';
    text += found->get<std::string>();
  }
  return text;
}

Result<ChatMessage> read_message(const Json& message, const std::string& where,
                                 bool knows_developer) {
  if (!message.is_object()) return invalid_input("{}: an object expected", where);
  Fields fields(message);
  ChatMessage result;
  const Json* role = fields.find("role");
  if (role == nullptr || !role->is_string() || role->get_ref<const std::string&>().empty()) {
    return invalid_input("{}.role: a string expected", where);
  }
  result.role = role->get<std::string>();
  if (result.role == "developer" && !knows_developer) result.role = "system";
  for (const char* name : {"tool_calls", "function_call", "audio"}) {
    if (const Json* value = fields.find(name); value && !value->empty()) {
      return invalid_input("{}.{}: not supported yet", where, name);
    }
  }
  const Json* content = fields.find("content");
  if (content == nullptr) return invalid_input("{}.content: it is missing", where);
  OCTAVO_ASSIGN(result.content, read_content(*content, where + ".content"));
  return result;
}

Result<std::string> read_variables(Fields& fields) {
  Json variables = Json::object();
  if (const Json* given = fields.find("chat_template_kwargs")) {
    if (!given->is_object()) return invalid_input("chat_template_kwargs: an object expected");
    variables = *given;
  }
  if (const Json* effort = fields.find("reasoning_effort")) variables["reasoning_effort"] = *effort;
  return variables.empty() ? std::string() : dump(variables);
}

// Of the answer; 0: up to the context's end.
Result<void> read_limit(Fields& fields, SamplingParams& sampling) {
  OCTAVO_ASSIGN(const int64_t older, fields.integer("max_tokens", 1, INT32_MAX, 0));
  OCTAVO_ASSIGN(const int64_t newer, fields.integer("max_completion_tokens", 1, INT32_MAX, older));
  sampling.max_tokens = static_cast<int32_t>(newer);
  return {};
}

Result<void> read_logprobs(Fields& fields, SamplingParams& sampling) {
  OCTAVO_ASSIGN(const bool wanted, fields.flag("logprobs", false));
  OCTAVO_ASSIGN(const int64_t top, fields.integer("top_logprobs", 0, 100, 0));
  if (!wanted && top > 0) return invalid_input("top_logprobs: only with logprobs");
  if (wanted) sampling.logprobs = static_cast<int32_t>(top);
  return {};
}

}  // namespace

Result<Conversation> read_conversation(Fields& fields, std::string_view chat_template) {
  Conversation conversation;
  const Json* messages = fields.find("messages");
  if (messages == nullptr || !messages->is_array() || messages->empty()) {
    return invalid_input("messages: a list of at least one message expected");
  }
  if (messages->size() > kMostMessages) {
    return invalid_input("messages: {} are more than {}", messages->size(), kMostMessages);
  }
  const bool knows_developer = chat_template.find("developer") != chat_template.npos;
  for (size_t i = 0; i < messages->size(); ++i) {
    OCTAVO_ASSIGN(ChatMessage message,
                  read_message((*messages)[i], fmt::format("messages[{}]", i), knows_developer));
    conversation.messages.push_back(std::move(message));
  }
  OCTAVO_ASSIGN(conversation.options.add_generation_prompt,
                fields.flag("add_generation_prompt", true));
  for (const char* name : {"continue_final_message", "chat_template", "documents"}) {
    OCTAVO_TRY(fields.refuse(name));
  }
  OCTAVO_ASSIGN(conversation.options.variables, read_variables(fields));
  return conversation;
}

Result<ChatRequest> read_chat_request(Fields& fields, std::string_view model,
                                      std::string_view chat_template) {
  ChatRequest chat;
  OCTAVO_ASSIGN(chat.common, read_common(fields, model));
  OCTAVO_TRY(fields.refuse("echo"));
  OCTAVO_TRY(fields.refuse("suffix"));
  OCTAVO_TRY(fields.refuse("best_of", {1}));
  OCTAVO_TRY(fields.refuse("add_special_tokens", {false}));
  OCTAVO_TRY(read_limit(fields, chat.common.request.sampling));
  OCTAVO_TRY(read_logprobs(fields, chat.common.request.sampling));
  OCTAVO_ASSIGN(chat.conversation, read_conversation(fields, chat_template));
  for (const std::string& name : fields.unknown()) chat.common.unknown.push_back(name);
  return chat;
}

}  // namespace octavo::server
