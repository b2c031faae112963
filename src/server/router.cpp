#include "server/router.h"

#include <utility>

#include "base/check.h"
#include "server/api_error.h"

namespace octavo::server {

void Router::add(std::string_view method, std::string_view path, Handler handler) {
  const bool is_new =
      handlers_[std::string(path)].emplace(std::string(method), std::move(handler)).second;
  OCTAVO_CHECK(is_new, "{} {} has two handlers", method, path);
}

asio::awaitable<void> Router::handle(Exchange& exchange) const {
  const HttpRequest& request = exchange.request();
  const auto found = handlers_.find(request.path);
  if (found == handlers_.end()) {
    const ApiError error{.status = 404, .message = "there is no " + request.path};
    co_return co_await exchange.respond(openai_error(error));
  }
  const auto& methods = found->second;
  const auto handler = methods.find(request.method == "HEAD" ? "GET" : request.method);
  if (handler == methods.end()) {
    std::string allowed;
    for (const auto& [method, unused] : methods) {
      allowed += (allowed.empty() ? "" : ", ") + method;
    }
    const ApiError error{.status = 405, .message = request.path + " takes " + allowed};
    HttpResponse response = openai_error(error);
    response.headers.emplace_back("Allow", allowed);
    co_return co_await exchange.respond(std::move(response));
  }
  co_await handler->second(exchange);
}

std::string_view Router::label(std::string_view path) const {
  const auto found = handlers_.find(path);
  return found == handlers_.end() ? std::string_view("other") : std::string_view(found->first);
}

}  // namespace octavo::server
