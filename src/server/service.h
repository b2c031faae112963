// Service: what every handler works with. Made once by the server, shared by all handlers; it
// outlives them.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "octavo/engine.h"
#include "server/metrics.h"
#include "server/server_config.h"
#include "server/workers.h"

namespace octavo::server {

struct Service {
  Engine& engine;
  const ServerConfig& config;
  Workers& workers;
  const std::unique_ptr<Metrics> metrics = std::make_unique<Metrics>();

  std::string model_name() const {
    return config.served_name.empty() ? engine.model().name : config.served_name;
  }

  // Runs work() on a worker; the coroutine goes on where it was. The work captures by reference
  // only: the coroutine waits for it, and a closure that owns something and is made in a co_await
  // expression is destroyed twice by g++ 12.
  template <class Work>
  boost::asio::awaitable<std::invoke_result_t<Work&>> run_on_worker(
      Work work, Lane lane = Lane::short_work) const {
    static_assert(std::is_trivially_destructible_v<Work>);
    using Outcome = std::optional<std::invoke_result_t<Work&>>;  // Asio wants a default value
    auto task = [](Work& w) -> boost::asio::awaitable<Outcome> { co_return w(); };
    Outcome outcome =
        co_await boost::asio::co_spawn(workers.lane(lane), task(work), boost::asio::use_awaitable);
    co_return std::move(*outcome);
  }
};

}  // namespace octavo::server
