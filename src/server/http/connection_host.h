// ConnectionHost: what the connections of a server share. It outlives them; any thread.
#pragma once

#include <atomic>
#include <cstdint>

#include "server/http/access_log.h"
#include "server/http/api_keys.h"
#include "server/http/byte_budget.h"
#include "server/http/request_ids.h"
#include "server/metrics.h"
#include "server/router.h"
#include "server/server_config.h"

namespace octavo::server {

struct ConnectionHost {
  const ServerConfig& config;
  const Router& router;
  ApiKeys* api_keys = nullptr;      // null: everybody may ask
  AccessLog* access_log = nullptr;  // null: none
  Metrics* metrics = nullptr;       // null: nobody counts refusals
  RequestIds request_ids = {};
  ByteBudget body_bytes{config.max_bodies_bytes};
  std::atomic<bool> draining{false};
  std::atomic<int64_t> connections{0};  // open ones
  std::atomic<int64_t> requests{0};     // being answered
};

}  // namespace octavo::server
