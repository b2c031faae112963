// All that the server answers, put together.
#pragma once

#include "server/router.h"
#include "server/service.h"

namespace octavo::server {

// `service` must outlive the router.
Router make_router(const Service& service);

}  // namespace octavo::server
