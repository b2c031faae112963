// GET /metrics: what Prometheus reads.
#pragma once

#include "server/router.h"
#include "server/service.h"

namespace octavo::server {

// `service` must outlive the router.
void add_metrics_route(Router& router, const Service& service);

}  // namespace octavo::server
