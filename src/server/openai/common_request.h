// What a chat and a completion have in common: how to sample, how many outputs, how to answer.
//
// Follows OpenAI's API reference (chat/completions and completions); further fields have vLLM's
// names, or llama.cpp's. Plain functions, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "octavo/engine.h"
#include "octavo/result.h"
#include "server/fields.h"

namespace octavo::server {

struct CommonRequest {
  Request request;  // all but the prompt; `outputs` is OpenAI's n
  bool stream = false;
  bool include_usage = false;  // of a stream: tell the tokens used at its end
};

// Reads the fields that both have, but not those that limit the tokens or ask for log
// probabilities. Errors name the field; not_found: another model than `model`.
Result<CommonRequest> read_common(Fields& fields, std::string_view model);

}  // namespace octavo::server
