#include "server/http/connection.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <exception>
#include <string>
#include <utility>
#include <variant>

#include "server/api_error.h"
#include "server/complain.h"
#include "server/http/cors.h"
#include "server/http/deadline.h"
#include "server/http/response_head.h"

namespace octavo::server {
namespace {

// How long a client may take to notice that a connection is over.
constexpr auto kGoodbye = std::chrono::seconds(2);

asio::awaitable<void> read_ahead(std::shared_ptr<Connection> /*owner*/, RequestReader& reader) {
  co_await reader.read_ahead();
}

}  // namespace

Connection::Connection(std::shared_ptr<Transport> transport, ConnectionHost& host)
    : transport_(std::move(transport)),
      host_(host),
      reader_(*transport_, host.config, host.body_bytes),
      writer_(transport_, std::chrono::seconds(host.config.request_seconds)) {
  ++host_.connections;
}

Connection::~Connection() {
  --host_.connections;
}

void Connection::start() {
  asio::co_spawn(transport_->executor(), run(shared_from_this()), asio::detached);
}

void Connection::drain() {
  asio::post(transport_->executor(), [self = shared_from_this()] {
    if (self->reader_.is_idle()) self->reader_.stop();
  });
}

void Connection::close() {
  asio::post(transport_->executor(), [self = shared_from_this()] {
    self->transport_->close();
    self->reader_.stop();
  });
}

asio::awaitable<void> Connection::run(std::shared_ptr<Connection> self) {
  bool is_open = false;
  {
    // A client that connects and says nothing must not stay in the handshake for ever.
    const Deadline deadline(self->transport_,
                            std::chrono::seconds(self->host_.config.request_seconds));
    is_open = co_await self->transport_->handshake();
  }
  if (!is_open) co_return;
  asio::co_spawn(self->transport_->executor(), read_ahead(self, self->reader_), asio::detached);
  try {
    co_await self->serve();
  } catch (const std::exception& error) {
    complain(std::string("a connection failed: ") + error.what());  // out of memory
  }
  self->transport_->close();
  self->reader_.stop();
}

asio::awaitable<void> Connection::serve() {
  bool goes_on = true;
  while (goes_on) {
    const auto idle_until =
        std::chrono::steady_clock::now() + std::chrono::seconds(host_.config.keep_alive_seconds);
    std::optional<RequestHead> head = co_await reader_.next(idle_until);
    if (!head) {
      co_await refuse_unread();
      break;
    }
    goes_on = co_await answer(std::move(*head));
  }
  co_await say_goodbye();
}

// A socket that is closed with bytes unread makes the system throw the client's answer away (RFC
// 9112, 9.6): first our end is closed, then what still comes is read for a while.
asio::awaitable<void> Connection::say_goodbye() {
  const Deadline deadline(transport_, kGoodbye);
  co_await transport_->finish();
  co_await reader_.discard(std::chrono::steady_clock::now() + kGoodbye);
}

// The answer to what is no request, or only the beginning of one.
asio::awaitable<void> Connection::refuse_unread() {
  if (!reader_.error()) co_return;
  HttpExchange exchange(host_, reader_, writer_, {});
  HttpResponse response = openai_error(*reader_.error());
  co_await exchange.respond(std::move(response));
}

std::optional<HttpResponse> Connection::early_answer(HttpExchange& exchange) {
  const HttpRequest& request = exchange.request();
  if (!host_.config.cors_origin.empty() && is_preflight(request)) {
    return preflight_answer(request, host_.config.cors_origin);
  }
  const Access access = host_.router.access(request.method, request.path);
  if (host_.draining && access != Access::always) {
    return openai_error(
        {.status = 503, .message = "the server is going down", .retry_after_seconds = 5});
  }
  if (host_.api_keys == nullptr || access != Access::key) return std::nullopt;
  auto admitted = host_.api_keys->admit(request, std::chrono::steady_clock::now());
  if (auto* use = std::get_if<KeyUse>(&admitted)) {
    exchange.set_key(std::move(*use));
    return std::nullopt;
  }
  const auto& error = std::get<ApiError>(admitted);
  HttpResponse response = openai_error(error);
  if (error.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

asio::awaitable<bool> Connection::read_body(HttpExchange& exchange, bool awaits_continue) {
  if (awaits_continue) co_await writer_.write("HTTP/1.1 100 Continue\r\n\r\n");
  std::optional<std::string> body = co_await reader_.body();
  if (body) {
    exchange.set_body(std::move(*body));
    co_return true;
  }
  exchange.close_after();
  if (reader_.error()) {
    HttpResponse response = openai_error(*reader_.error());
    co_await exchange.respond(std::move(response));
  }
  co_return false;
}

asio::awaitable<bool> Connection::handle(HttpExchange& exchange) {
  try {
    co_await host_.router.handle(exchange);
    co_return true;
  } catch (const std::exception& error) {
    complain("request " + exchange.id() + " failed: " + error.what());
  }
  exchange.close_after();
  if (!exchange.is_answered()) {
    HttpResponse response = openai_error({.status = 500, .message = "the server has a fault"});
    co_await exchange.respond(std::move(response));
  }
  co_return false;
}

asio::awaitable<bool> Connection::answer(RequestHead head) {
  const bool awaits_continue = head.awaits_continue;
  HttpExchange exchange(host_, reader_, writer_, std::move(head));
  std::optional<HttpResponse> early = early_answer(exchange);
  if (early && (awaits_continue || !reader_.is_body_near())) {
    exchange.close_after();
  } else {
    const bool is_whole = co_await read_body(exchange, awaits_continue);
    if (!is_whole) co_return false;
  }
  if (early) {
    co_await exchange.respond(std::move(*early));
  } else {
    const bool is_whole = co_await handle(exchange);
    if (!is_whole) co_return false;  // a stream that breaks off has no end
  }
  co_return co_await exchange.end();
}

}  // namespace octavo::server
