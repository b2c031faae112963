#include "server/routes.h"

#include <utility>

#include "server/kobold/routes.h"
#include "server/llamacpp/routes.h"
#include "server/memory_view.h"
#include "server/metrics_route.h"
#include "server/openai/routes.h"
#include "server/page/page.h"
#include "server/tgi/routes.h"

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
  // While the server is going down, /health is well, and the connection answers /ready with 503.
  router.add("GET", "/health", say_ok, Access::always);
  router.add("GET", "/ready", say_ok, Access::everybody);
  add_metrics_route(router, service);
  add_openai_routes(router, service);
  add_llamacpp_routes(router, service);
  add_tgi_routes(router, service);
  add_kobold_routes(router, service);
  add_memory_routes(router, service);
  add_page_routes(router);
  return router;
}

}  // namespace octavo::server
