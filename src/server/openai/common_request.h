// What a chat and a completion have in common: how to sample, how many outputs, how to answer.
//
// Follows OpenAI's API reference (chat/completions and completions); further fields have vLLM's
// names, or llama.cpp's. Plain functions, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "octavo/engine.h"
#include "octavo/result.h"
#include "server/fields.h"

namespace octavo::server {

struct CommonRequest {
  Request request;  // all but the prompt; `outputs` is OpenAI's n
  bool stream = false;
  bool include_usage = false;        // of a stream: tell the tokens used at its end
  std::vector<std::string> unknown;  // fields that nobody reads
};

// Reads the fields that both have, but not those that limit the tokens or ask for log
// probabilities. Errors name the field; not_found: another model than `model`.
Result<CommonRequest> read_common(Fields& fields, std::string_view model);

// Nothing, or the name of the model that is here; not_found for another one.
Result<void> check_model(Fields& fields, std::string_view model);

// An answer of so many tokens, each with its log probability and so many alternatives: as JSON it
// would be a hundred times the size of its text, so it has a limit, 4 Mi log probabilities.
Result<void> check_logprobs(int64_t tokens, int32_t alternatives);

}  // namespace octavo::server
