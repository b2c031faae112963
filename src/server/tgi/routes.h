// The API of Hugging Face's text-generation-inference: /generate, /generate_stream, POST /, /info.
#pragma once

#include "server/router.h"
#include "server/service.h"

namespace octavo::server {

// `service` must outlive the router.
void add_tgi_routes(Router& router, const Service& service);

}  // namespace octavo::server
