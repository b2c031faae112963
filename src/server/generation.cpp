#include "server/generation.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <utility>

namespace octavo::server {

Generation::Wakeup::Wakeup(const asio::any_io_executor& executor)
    : timer(executor, asio::steady_timer::time_point::max()) {}

Result<std::unique_ptr<Generation>> Generation::start(const Service& service, Exchange& exchange,
                                                      std::vector<Request> requests) {
  std::unique_ptr<Generation> generation(new Generation(exchange));
  for (Request& request : requests) {
    const auto prompt_tokens = static_cast<int64_t>(request.prompt.size());
    const bool scores = request.score_prompt;
    RequestTimes times(*service.metrics, request.outputs, std::chrono::steady_clock::now());
    auto stream = service.engine.submit(std::move(request));
    if (!stream) return stream.error();
    generation->usage_.prompt_tokens += prompt_tokens;
    generation->add({std::move(stream).value(), scores, std::move(times)});
  }
  return generation;
}

Generation::Generation(Exchange& exchange)
    : exchange_(exchange), wakeup_(std::make_shared<Wakeup>(exchange.executor())) {
  exchange_.on_client_gone([this] {
    cancel();
    wakeup_->timer.cancel();
  });
}

Generation::~Generation() {
  exchange_.on_client_gone(nullptr);
  // After a failure nobody reads what is left, such as that another output failed, too.
  while (failure_ && take_event()) {
  }
  for (Part& part : parts_) {
    if (!part.scores) part.times.end();
  }
  exchange_.report(usage_);
}

void Generation::cancel() {
  for (const Part& part : parts_) part.stream->cancel();
}

void Generation::add(Part part) {
  // The timer belongs to the exchange's executor; the engine's thread may only post to it.
  part.stream->on_event([wakeup = std::weak_ptr(wakeup_), executor = exchange_.executor()] {
    asio::post(executor, [wakeup] {
      if (const auto alive = wakeup.lock()) alive->timer.cancel();
    });
  });
  parts_.push_back(std::move(part));
}

std::optional<GenerationEvent> Generation::take_event() {
  for (size_t i = 0; i < parts_.size(); ++i) {
    const size_t request = (turn_ + i) % parts_.size();
    std::optional<Event> event = parts_[request].stream->try_next();
    if (!event) continue;
    turn_ = request + 1;
    if (!failure_) failure_ = unfinished_error(event->finish);
    if (!parts_[request].scores) {
      parts_[request].times.add(*event, std::chrono::steady_clock::now());
      usage_.generated_tokens += static_cast<int64_t>(event->tokens.size());
    }
    if (event->prompt) usage_.cached_tokens += event->prompt->cached_tokens;
    return GenerationEvent{request, std::move(*event)};
  }
  return std::nullopt;
}

void Generation::ping(std::string bytes, std::chrono::steady_clock::duration every) {
  ping_ = std::move(bytes);
  ping_every_ = every;
}

asio::awaitable<std::optional<GenerationEvent>> Generation::next() {
  for (;;) {
    if (exchange_.client_gone()) co_return std::nullopt;
    if (std::optional<GenerationEvent> event = take_event()) co_return event;
    const bool is_over = std::all_of(parts_.begin(), parts_.end(),
                                     [](const Part& part) { return part.stream->finished(); });
    if (is_over) co_return std::nullopt;
    const bool pings = ping_every_ != ping_every_.zero();
    if (pings) wakeup_->timer.expires_after(ping_every_);
    const auto [cancelled] =
        co_await wakeup_->timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (pings && !cancelled) co_await exchange_.write(ping_);
  }
}

}  // namespace octavo::server
