// A body of KoboldAI's /api/v1/generate as a request to the engine.
//
// Follows KoboldCpp's API documentation (GenerationInput). Plain functions, any thread.
#pragma once

#include <string>
#include <vector>

#include "octavo/engine.h"
#include "octavo/result.h"
#include "server/fields.h"

namespace octavo::server {

struct KoboldRequest {
  Request request;
  std::string key;                   // "genkey"; empty: the request cannot be asked after
  bool trim_stop = true;             // the text ends before the stop string
  std::vector<std::string> unknown;  // fields that nobody reads
};

Result<KoboldRequest> read_kobold_request(Fields& fields, const Engine& engine);

}  // namespace octavo::server
