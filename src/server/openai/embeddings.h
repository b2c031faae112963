// POST /v1/embeddings, as OpenAI has it: the pooled hidden states of texts, each scaled to
// length 1.
#pragma once

#include "server/exchange.h"
#include "server/service.h"

namespace octavo::server {

asio::awaitable<void> embeddings(const Service& service, Exchange& exchange);

}  // namespace octavo::server
