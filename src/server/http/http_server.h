// HttpServer: a router's handlers behind sockets.
//
// Owns the threads that serve connections. The config and the router must outlive it. Thread
// safety: every method may be called from any thread, the destructor from one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "octavo/result.h"
#include "server/metrics.h"
#include "server/router.h"
#include "server/server_config.h"

namespace octavo::server {

class HttpServer {
 public:
  // Listens and serves. Errors name the setting. `metrics`, if any, counts refusals and outlives
  // it.
  static Result<std::unique_ptr<HttpServer>> start(const ServerConfig& config, const Router& router,
                                                   Metrics* metrics = nullptr);
  // Ends every connection and waits for the handlers, whose clients have then gone.
  virtual ~HttpServer() = default;

  // Where it listens: "http://127.0.0.1:8080", "unix:/run/octavo.sock".
  virtual std::vector<std::string> addresses() const = 0;

  // From now on new requests are answered with 503; those that run go on.
  virtual void begin_drain() = 0;
  virtual bool is_drained() const = 0;  // none runs any more
};

}  // namespace octavo::server
