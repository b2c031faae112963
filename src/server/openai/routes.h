// OpenAI's API: /v1/chat/completions, /v1/completions and /v1/models.
#pragma once

#include "server/router.h"
#include "server/service.h"

namespace octavo::server {

// `service` must outlive the router.
void add_openai_routes(Router& router, const Service& service);

}  // namespace octavo::server
