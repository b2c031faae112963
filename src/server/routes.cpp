#include "server/routes.h"

#include <utility>

#include "server/openai/routes.h"

namespace octavo::server {
namespace {

asio::awaitable<void> say_ok(Exchange& exchange) {
  HttpResponse response;
  response.body = R"({"status":"ok"})";
  co_await exchange.respond(std::move(response));
}

}  // namespace

Router make_router(const Service& service) {
  Router router;
  // A server that is going down answers /ready with 503 itself (http/connection.cpp).
  router.add("GET", kHealthPath, say_ok);
  router.add("GET", "/ready", say_ok);
  add_openai_routes(router, service);
  return router;
}

}  // namespace octavo::server
