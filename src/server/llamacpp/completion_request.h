// A body of llama.cpp's /completion as requests to the engine, one for each prompt.
//
// Follows the README of llama.cpp's server. Plain functions, any thread.
#pragma once

#include <string>
#include <vector>

#include "octavo/engine.h"
#include "octavo/result.h"
#include "server/fields.h"

namespace octavo::server {

struct LlamaCppRequest {
  Request request;  // all but the prompt; `outputs` is n_cmpl
  std::vector<std::vector<int32_t>> prompts;
  bool is_list = false;  // several prompts were given: the answer is a list
  bool stream = false;
  bool return_tokens = false;
  bool timings_per_token = false;
  std::vector<std::string> unknown;  // fields that nobody reads
};

// What it is without a word about it; n_predict -1 and seed -1 aside.
SamplingParams llamacpp_defaults();

// `id` names the request: with cache_prompt false it finds only its own blocks.
Result<LlamaCppRequest> read_llamacpp_request(Fields& fields, const Engine& engine,
                                              const std::string& id);

}  // namespace octavo::server
