// POST /v1/completions.
#pragma once

#include "server/exchange.h"
#include "server/service.h"

namespace octavo::server {

asio::awaitable<void> completions(const Service& service, Exchange& exchange);

}  // namespace octavo::server
