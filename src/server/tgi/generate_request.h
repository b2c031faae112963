// A body of TGI's /generate as a request to the engine.
//
// Follows the OpenAPI document of Hugging Face's text-generation-inference (GenerateRequest). Plain
// functions, any thread.
#pragma once

#include <string>
#include <vector>

#include "octavo/engine.h"
#include "octavo/result.h"
#include "server/fields.h"

namespace octavo::server {

struct TgiRequest {
  std::string inputs;
  Request request;  // `outputs` is best_of
  bool stream = false;
  bool samples = false;  // it draws; otherwise always the most probable token
  bool details = false;
  bool prefill = false;              // tell the prompt's tokens with their log probabilities
  bool return_full_text = false;     // the text begins with the prompt's
  int32_t top_tokens = 0;            // alternatives to tell for each token
  std::vector<std::string> unknown;  // fields that nobody reads
};

Result<TgiRequest> read_tgi_request(const Json& body, Fields& fields, const Engine& engine);

}  // namespace octavo::server
