// A body of /v1/completions as requests to the engine, one for each prompt. Plain functions, any
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "octavo/engine.h"
#include "octavo/result.h"
#include "server/openai/common_request.h"

namespace octavo::server {

struct CompletionRequest {
  CommonRequest common;  // request.prompt is empty, request.outputs is best_of
  std::vector<std::vector<int32_t>> prompts;
  std::vector<std::string> prompt_texts;  // for echo
  int32_t outputs = 1;                    // n of each prompt: the best of request.outputs
  int32_t logprobs = -1;                  // of the answer; -1: none
  bool echo = false;                      // the answer begins with the prompt
  bool generate = true;                   // false: max_tokens is 0
};

Result<CompletionRequest> read_completion_request(Fields& fields, std::string_view model,
                                                  const Engine& engine);

// "prompt" or "input": a text, a list of texts, token ids, or a list of lists of token ids; at most
// 1024 of them. Texts are tokenized as the model's metadata say, with "add_special_tokens": false
// without the tokens that begin and end a text.
struct TokenLists {
  std::vector<std::vector<int32_t>> tokens;
  std::vector<std::string> texts;
};
Result<TokenLists> read_token_lists(Fields& fields, std::string_view name, const Engine& engine);

// A list of token ids, `field` in errors. That they are in the vocabulary, others check.
Result<std::vector<int32_t>> read_token_ids(const Json& list, const std::string& field);

}  // namespace octavo::server
