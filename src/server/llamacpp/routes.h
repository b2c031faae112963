// llama.cpp's own API: /completion, /props and /slots.
#pragma once

#include "server/router.h"
#include "server/service.h"

namespace octavo::server {

// `service` must outlive the router.
void add_llamacpp_routes(Router& router, const Service& service);

}  // namespace octavo::server
