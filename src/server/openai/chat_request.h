// A body of /v1/chat/completions as a request to the engine. Plain functions, any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "octavo/engine.h"
#include "octavo/result.h"
#include "server/openai/common_request.h"

namespace octavo::server {

struct Conversation {
  std::vector<ChatMessage> messages;
  ChatTemplateOptions options;
};

// "messages" with content as a text or a list of text parts, "chat_template_kwargs",
// "reasoning_effort" (a variable of the template, too) and "add_generation_prompt". `chat_template`
// is the model's: a template that does not know the developer's role gets the system's.
Result<Conversation> read_conversation(Fields& fields, std::string_view chat_template);

// Everything but the prompt's tokens, which the engine makes of `conversation`.
struct ChatRequest {
  CommonRequest common;
  Conversation conversation;
};

Result<ChatRequest> read_chat_request(Fields& fields, std::string_view model,
                                      std::string_view chat_template);

}  // namespace octavo::server
