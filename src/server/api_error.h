// ApiError: a request that is not served, and OpenAI's way of saying so. Plain functions, any
// thread.
#pragma once

#include <optional>
#include <string>

#include "octavo/engine.h"
#include "octavo/result.h"
#include "server/exchange.h"

namespace octavo::server {

struct ApiError {
  int status = 400;
  std::string message;                   // says what is wrong
  std::string field = {};                // of the request's body, where one is at fault
  int retry_after_seconds = 0;           // 0: trying again does not help
  std::optional<Rejection> reason = {};  // where the status does not say enough
};

// 429 where the engine's queue is full, 404 for what is not there, 400 where the input is bad. The
// engine's messages begin with the field at fault: "top_p: 2 is not in (0, 1]".
ApiError api_error(const Error& error);

// Where an output ended before its text did: the engine went down, or had no memory for it. Nothing
// for one that is whole or still runs.
std::optional<ApiError> unfinished_error(FinishReason finish);

// {"error": {"message", "type", "param", "code"}}, with Retry-After where it helps.
HttpResponse openai_error(const ApiError& error);

// The same with another API's body.
HttpResponse error_response(const ApiError& error, std::string body);

}  // namespace octavo::server
