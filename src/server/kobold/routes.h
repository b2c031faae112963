// KoboldAI's API, with what KoboldCpp added to it: /api/v1/... and /api/extra/...
#pragma once

#include "server/router.h"
#include "server/service.h"

namespace octavo::server {

// `service` must outlive the router.
void add_kobold_routes(Router& router, const Service& service);

}  // namespace octavo::server
