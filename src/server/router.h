// Router: which handler answers which method and path.
//
// Filled before the server starts, then const and used from many threads.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "server/exchange.h"

namespace octavo::server {

// Who may use a route.
enum class Access {
  key,        // who has an API key, where the server asks for one
  everybody,  // without one
  always,     // everybody, also while the server is going down
};

class Router {
 public:
  // `path` is matched whole: "/v1/models". A second handler for the same is a broken invariant.
  void add(std::string_view method, std::string_view path, Handler handler,
           Access access = Access::key);

  // 404 for a path that is not there, 405 with Allow for a method that it does not have, in
  // OpenAI's form. HEAD is answered where GET is.
  asio::awaitable<void> handle(Exchange& exchange) const;

  // What is not there needs a key, too: nobody finds out without one what there is.
  Access access(std::string_view method, std::string_view path) const;

  // The path as it was added, or "other": a label of bounded variety for logs and metrics.
  std::string_view label(std::string_view path) const;

 private:
  struct Route {
    Handler handler;
    Access access = Access::key;
  };

  // Null where there is none. HEAD is GET.
  const Route* find(std::string_view method, std::string_view path) const;

  // By path, then by method.
  std::map<std::string, std::map<std::string, Route, std::less<>>, std::less<>> routes_;
};

}  // namespace octavo::server
