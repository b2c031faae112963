// Generation: requests to the engine made for an Exchange, and their events as a coroutine reads
// them.
//
// Ends with the exchange: when the client goes, the requests are cancelled within a step. Used on
// the exchange's executor only. What was used is reported to the exchange when it is destroyed.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "octavo/engine.h"
#include "server/api_error.h"
#include "server/exchange.h"
#include "server/metrics.h"
#include "server/service.h"

namespace octavo::server {

struct GenerationEvent {
  size_t request = 0;  // which of those that were started
  Event event;
};

class Generation {
 public:
  // All or none: when one is refused, those before it are cancelled.
  static Result<std::unique_ptr<Generation>> start(const Service& service, Exchange& exchange,
                                                   std::vector<Request> requests);
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;
  ~Generation();

  // Waits for the next event; nothing when every output has finished or the client has gone.
  asio::awaitable<std::optional<GenerationEvent>> next();

  // Stops all requests within a step; their outputs end as cancelled. Any thread.
  void cancel();

  // From now on next() writes `bytes` to the exchange's stream whenever nothing has come for so
  // long, so that nobody on the way takes a request that waits its turn for a dead one.
  void ping(std::string bytes, std::chrono::steady_clock::duration every);

  // Why the first output that ended before its text did so; nothing while all go well.
  const std::optional<ApiError>& failure() const { return failure_; }
  // Once next() has given nothing: every output has all of its text.
  bool is_whole() const { return !failure_ && !exchange_.client_gone(); }
  // So far.
  const Usage& usage() const { return usage_; }

 private:
  // Wakes next(): it waits for a timer that never runs out, until it is cancelled.
  struct Wakeup {
    explicit Wakeup(const asio::any_io_executor& executor);
    asio::steady_timer timer;
  };

  struct Part {
    std::unique_ptr<Stream> stream;
    bool scores = false;  // the prompt's tokens come back, none are generated
    RequestTimes times;
  };

  explicit Generation(Exchange& exchange);
  void add(Part part);
  std::optional<GenerationEvent> take_event();

  Exchange& exchange_;
  Usage usage_;
  std::optional<ApiError> failure_;
  std::shared_ptr<Wakeup> wakeup_;  // shared with the calls on their way
  std::vector<Part> parts_;
  size_t turn_ = 0;  // the part to look at first: none starves
  std::string ping_;
  std::chrono::steady_clock::duration ping_every_ = {};  // zero: never
};

}  // namespace octavo::server
