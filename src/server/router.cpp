#include "server/router.h"

#include <utility>

#include "base/check.h"
#include "server/api_error.h"

namespace octavo::server {

void Router::add(std::string_view method, std::string_view path, Handler handler, Access access) {
  const bool is_new = routes_[std::string(path)]
                          .emplace(std::string(method), Route{std::move(handler), access})
                          .second;
  OCTAVO_CHECK(is_new, "{} {} has two handlers", method, path);
}

const Router::Route* Router::find(std::string_view method, std::string_view path) const {
  const auto found = routes_.find(path);
  if (found == routes_.end()) return nullptr;
  const auto route = found->second.find(method == "HEAD" ? "GET" : method);
  return route == found->second.end() ? nullptr : &route->second;
}

Access Router::access(std::string_view method, std::string_view path) const {
  const Route* route = find(method, path);
  return route == nullptr ? Access::key : route->access;
}

asio::awaitable<void> Router::handle(Exchange& exchange) const {
  const HttpRequest& request = exchange.request();
  const Route* route = find(request.method, request.path);
  if (route != nullptr) co_return co_await route->handler(exchange);

  const auto found = routes_.find(request.path);
  if (found == routes_.end()) {
    const ApiError error{.status = 404, .message = "there is no " + request.path};
    co_return co_await exchange.respond(openai_error(error));
  }
  std::string allowed;
  for (const auto& [method, unused] : found->second) {
    allowed += (allowed.empty() ? "" : ", ") + method;
  }
  const ApiError error{.status = 405, .message = request.path + " takes " + allowed};
  HttpResponse response = openai_error(error);
  response.headers.emplace_back("Allow", allowed);
  co_await exchange.respond(std::move(response));
}

std::string_view Router::label(std::string_view path) const {
  const auto found = routes_.find(path);
  return found == routes_.end() ? std::string_view("other") : std::string_view(found->first);
}

}  // namespace octavo::server
