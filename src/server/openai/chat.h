// POST /v1/chat/completions.
#pragma once

#include "server/exchange.h"
#include "server/service.h"

namespace octavo::server {

asio::awaitable<void> chat_completions(const Service& service, Exchange& exchange);

}  // namespace octavo::server
