// OpenAI's API, /v1/..., and what its neighbours have beside it: /tokenize, /detokenize,
// /apply-template, /version.
#pragma once

#include "server/router.h"
#include "server/service.h"

namespace octavo::server {

// `service` must outlive the router.
void add_openai_routes(Router& router, const Service& service);

}  // namespace octavo::server
