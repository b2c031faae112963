#include "server/generation.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace octavo::server {

Generation::Wakeup::Wakeup(const asio::any_io_executor& executor)
    : timer(executor, asio::steady_timer::time_point::max()) {}

Result<std::unique_ptr<Generation>> Generation::start(const Service& service, Exchange& exchange,
                                                      Request request) {
  const Usage usage{.prompt_tokens = static_cast<int64_t>(request.prompt.size())};
  auto stream = service.engine.submit(std::move(request));
  if (!stream) return stream.error();
  return std::unique_ptr<Generation>(new Generation(exchange, std::move(stream).value(), usage));
}

Generation::Generation(Exchange& exchange, std::unique_ptr<Stream> stream, Usage usage)
    : exchange_(exchange),
      usage_(usage),
      wakeup_(std::make_shared<Wakeup>(exchange.executor())),
      stream_(std::move(stream)) {
  // The timer belongs to the exchange's executor; the engine's thread may only post to it.
  stream_->on_event([wakeup = std::weak_ptr(wakeup_), executor = exchange.executor()] {
    asio::post(executor, [wakeup] {
      if (const auto alive = wakeup.lock()) alive->timer.cancel();
    });
  });
  exchange_.on_client_gone([this] {
    stream_->cancel();
    wakeup_->timer.cancel();
  });
}

Generation::~Generation() {
  exchange_.on_client_gone(nullptr);
  exchange_.report(usage_);
}

asio::awaitable<std::optional<Event>> Generation::next() {
  for (;;) {
    if (exchange_.client_gone()) co_return std::nullopt;
    if (std::optional<Event> event = stream_->try_next()) {
      usage_.generated_tokens += static_cast<int64_t>(event->tokens.size());
      if (event->prompt) usage_.cached_tokens = event->prompt->cached_tokens;
      co_return event;
    }
    if (stream_->finished()) co_return std::nullopt;
    co_await wakeup_->timer.async_wait(asio::as_tuple(asio::use_awaitable));
  }
}

}  // namespace octavo::server
