#include "server/metrics_route.h"

#include <utility>

#include "server/metrics.h"

namespace octavo::server {
namespace {

asio::awaitable<void> metrics(const Service& service, Exchange& exchange) {
  HttpResponse response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = service.metrics->scrape(service.engine.stats());
  co_await exchange.respond(std::move(response));
}

}  // namespace

void add_metrics_route(Router& router, const Service& service) {
  router.add("GET", "/metrics",
             [&service](Exchange& exchange) { return metrics(service, exchange); });
}

}  // namespace octavo::server
