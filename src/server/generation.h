// Generation: a request to the engine made for an Exchange, and its events as a coroutine reads
// them.
//
// Ends with the exchange: when the client goes, the request is cancelled within a step. Used on the
// exchange's executor only. What was used is reported to the exchange when it is destroyed.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>

#include "octavo/engine.h"
#include "server/exchange.h"
#include "server/service.h"

namespace octavo::server {

class Generation {
 public:
  static Result<std::unique_ptr<Generation>> start(const Service& service, Exchange& exchange,
                                                   Request request);
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;
  ~Generation();

  // Waits for the next event; nothing when every output has finished or the client has gone.
  asio::awaitable<std::optional<Event>> next();

  // So far.
  const Usage& usage() const { return usage_; }

 private:
  // Wakes next(): it waits for a timer that never runs out, until it is cancelled.
  struct Wakeup {
    explicit Wakeup(const asio::any_io_executor& executor);
    asio::steady_timer timer;
  };

  Generation(Exchange& exchange, std::unique_ptr<Stream> stream, Usage usage);

  Exchange& exchange_;
  Usage usage_;
  std::shared_ptr<Wakeup> wakeup_;  // shared with the calls on their way
  std::unique_ptr<Stream> stream_;
};

}  // namespace octavo::server
