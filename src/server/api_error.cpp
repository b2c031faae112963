#include "server/api_error.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "engine/request_json.h"

namespace octavo::server {
namespace {

// The words of OpenAI's "type" and "code".
std::pair<const char*, const char*> kind_of(int status) {
  switch (status) {
    case 401:
      return {"authentication_error", "invalid_api_key"};
    case 403:
      return {"permission_error", "forbidden"};
    case 404:
      return {"invalid_request_error", "not_found"};
    case 429:
      return {"rate_limit_error", "rate_limit_exceeded"};
    case 503:
      return {"server_error", "unavailable"};
    default:
      return status >= 500 ? std::pair{"server_error", "internal_error"}
                           : std::pair{"invalid_request_error", "invalid_value"};
  }
}

Rejection reason_of(int status) {
  switch (status) {
    case 401:
      return Rejection::api_key;
    case 429:
      return Rejection::queue_full;
    case 503:
      return Rejection::draining;
    default:
      return Rejection::bad_input;
  }
}

bool is_field_name(std::string_view text) {
  return !text.empty() &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789.[]") == text.npos;
}

}  // namespace

ApiError api_error(const Error& error) {
  if (error.kind == ErrorKind::resource) {
    return {.status = 429, .message = error.message, .retry_after_seconds = 1};
  }
  ApiError result{.status = error.kind == ErrorKind::not_found ? 404 : 400,
                  .message = error.message};
  // The one thing that the engine can not do for a good request: more tokens than its context has.
  if (error.kind == ErrorKind::unsupported) result.reason = Rejection::too_long;
  const std::string field = error.message.substr(0, error.message.find(": "));
  if (is_field_name(field)) result.field = field;
  return result;
}

std::optional<ApiError> unfinished_error(FinishReason finish) {
  switch (finish) {
    case FinishReason::none:
    case FinishReason::stop:
    case FinishReason::length:
      return std::nullopt;
    case FinishReason::cancelled:
      return ApiError{
          .status = 503, .message = "the server is going down", .retry_after_seconds = 5};
    case FinishReason::no_memory:
      return ApiError{.status = 503,
                      .message = std::string(kNoMemoryMessage),
                      .retry_after_seconds = 5,
                      .reason = Rejection::no_memory};
  }
  return std::nullopt;
}

HttpResponse openai_error(const ApiError& error) {
  const auto [type, code] = kind_of(error.status);
  nlohmann::ordered_json body;
  body["error"]["message"] = error.message;
  body["error"]["type"] = type;
  body["error"]["param"] = nullptr;
  if (!error.field.empty()) body["error"]["param"] = error.field;
  body["error"]["code"] = code;
  // Messages quote what the client sent, which need not be UTF-8.
  return error_response(
      error, body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

HttpResponse error_response(const ApiError& error, std::string body) {
  HttpResponse response{.status = error.status,
                        .body = std::move(body),
                        .rejection = error.reason.value_or(reason_of(error.status))};
  if (error.retry_after_seconds > 0) {
    response.headers.emplace_back("Retry-After", std::to_string(error.retry_after_seconds));
  }
  return response;
}

}  // namespace octavo::server
