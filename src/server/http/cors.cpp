#include "server/http/cors.h"

namespace octavo::server {
namespace {

bool is_allowed(const HttpRequest& request, std::string_view allowed) {
  const auto origin = request.header("Origin");
  return origin && (allowed == "*" || *origin == allowed);
}

}  // namespace

HeaderList cors_headers(const HttpRequest& request, std::string_view allowed) {
  HeaderList headers;
  if (allowed.empty()) return headers;
  // A cache between must not give one origin what another was told.
  if (allowed != "*") headers.emplace_back("Vary", "Origin");
  if (!is_allowed(request, allowed)) return headers;
  headers.emplace_back("Access-Control-Allow-Origin", allowed);
  headers.emplace_back("Access-Control-Expose-Headers", "X-Request-Id, Retry-After");
  return headers;
}

bool is_preflight(const HttpRequest& request) {
  return request.method == "OPTIONS" && request.header("Origin") &&
         request.header("Access-Control-Request-Method");
}

// What may be asked for is up to the routes and keys: a page that may ask at all may ask for
// everything. Authorization must be named, * does not cover it.
HttpResponse preflight_answer(const HttpRequest& request, std::string_view allowed) {
  HttpResponse answer{.status = 204, .content_type = ""};
  if (!is_allowed(request, allowed)) return answer;
  answer.headers.emplace_back("Access-Control-Allow-Methods", "GET, HEAD, POST");
  if (const auto wanted = request.header("Access-Control-Request-Headers")) {
    answer.headers.emplace_back("Access-Control-Allow-Headers", *wanted);
  }
  answer.headers.emplace_back("Access-Control-Max-Age", "600");
  return answer;
}

}  // namespace octavo::server
