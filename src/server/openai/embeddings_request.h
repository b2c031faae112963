// A body of /v1/embeddings as requests to the engine, one for each input. Plain functions, any
// thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "octavo/engine.h"
#include "octavo/result.h"
#include "server/fields.h"

namespace octavo::server {

struct EmbeddingsRequest {
  std::vector<Request> requests;     // by input
  bool base64 = false;               // the answer's numbers, as the bytes of 32-bit floats
  std::vector<std::string> unknown;  // fields that nobody reads
};

// Follows OpenAI's API reference (embeddings); further fields have vLLM's names, or llama.cpp's.
// Errors name the field, of a list with the input's index; not_found: another model than `model`.
Result<EmbeddingsRequest> read_embeddings_request(Fields& fields, std::string_view model,
                                                  const Engine& engine);

}  // namespace octavo::server
