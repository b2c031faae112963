// Router: which handler answers which method and path.
//
// Filled before the server starts, then const and used from many threads.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "server/exchange.h"

namespace octavo::server {

class Router {
 public:
  // `path` is matched whole: "/v1/models". A second handler for the same is a broken invariant.
  void add(std::string_view method, std::string_view path, Handler handler);

  // 404 for a path that is not there, 405 with Allow for a method that it does not have, in
  // OpenAI's form. HEAD is answered where GET is.
  asio::awaitable<void> handle(Exchange& exchange) const;

  // The path as it was added, or "other": a label of bounded variety for logs and metrics.
  std::string_view label(std::string_view path) const;

 private:
  std::map<std::string, std::map<std::string, Handler, std::less<>>, std::less<>> handlers_;
};

}  // namespace octavo::server
