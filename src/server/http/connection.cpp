#include "server/http/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <exception>
#include <utility>

#include "server/api_error.h"
#include "server/http/response_head.h"
#include "server/routes.h"

namespace octavo::server {
namespace {

Signal::TimePoint in_seconds(int64_t seconds) {
  return std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
}

// A client's own id is kept if it is fit for a log.
bool is_good_id(std::string_view id) {
  const auto is_good = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.';
  };
  return !id.empty() && id.size() <= 128 && std::all_of(id.begin(), id.end(), is_good);
}

}  // namespace

class Connection::HttpExchange final : public Exchange {
 public:
  HttpExchange(Connection& connection, ReadResult read)
      : connection_(connection),
        request_(std::move(*read.request)),
        is_http_1_1_(read.is_http_1_1),
        keep_alive_(read.keep_alive && !connection.host_.draining) {
    ++connection.host_.requests;
    const auto own_id = request_.header("X-Request-Id");
    id_ = own_id && is_good_id(*own_id)
              ? std::string(*own_id)
              : fmt::format("octavo-{}", connection.host_.next_request.fetch_add(1));
  }
  ~HttpExchange() override {
    connection_.reader_.on_client_gone(nullptr);
    --connection_.host_.requests;
  }

  const HttpRequest& request() const override { return request_; }
  const std::string& id() const override { return id_; }
  asio::any_io_executor executor() const override { return connection_.transport_->executor(); }

  asio::awaitable<void> respond(HttpResponse response) override {
    is_answered_ = true;
    response.headers.emplace_back("X-Request-Id", id_);
    std::string bytes = response_head(
        response, {.keep_alive = keep_alive_, .content_length = response.body.size()});
    if (request_.method != "HEAD") bytes += response.body;
    co_await connection_.write(bytes);
  }

  // To a client of HTTP/1.0, a body that ends with the connection.
  asio::awaitable<void> begin_stream(HttpResponse head) override {
    is_answered_ = true;
    is_stream_ = true;
    if (!is_http_1_1_) keep_alive_ = false;
    head.headers.emplace_back("X-Request-Id", id_);
    const std::string body = std::exchange(head.body, {});
    const std::string bytes =
        response_head(head, {.keep_alive = keep_alive_, .chunked = is_http_1_1_});
    co_await connection_.write(bytes);
    if (!body.empty()) co_await write(body);
  }

  asio::awaitable<void> write(std::string_view bytes) override {
    if (bytes.empty() || request_.method == "HEAD") co_return;  // an empty chunk ends the body
    if (!is_http_1_1_) {
      co_await connection_.write(bytes);
      co_return;
    }
    std::string chunk = fmt::format("{:x}\r\n", bytes.size());
    chunk += bytes;
    chunk += "\r\n";
    co_await connection_.write(chunk);
  }

  bool client_gone() const override {
    return connection_.write_failed_ || connection_.reader_.client_gone();
  }
  void on_client_gone(std::function<void()> call) override {
    connection_.reader_.on_client_gone(std::move(call));
  }
  void report(const Usage& usage) override { usage_ += usage; }
  void note_ignored(std::vector<std::string> fields) override { ignored_ = std::move(fields); }

  // After the handler. False when the connection ends here.
  asio::awaitable<bool> end() {
    if (!is_answered_) co_return false;
    if (is_stream_ && is_http_1_1_ && request_.method != "HEAD") {
      co_await connection_.write("0\r\n\r\n");
    }
    co_return keep_alive_ && !connection_.write_failed_;
  }

 private:
  Connection& connection_;
  HttpRequest request_;
  std::string id_;
  bool is_http_1_1_;
  bool keep_alive_;
  bool is_answered_ = false;
  bool is_stream_ = false;
  Usage usage_;
  std::vector<std::string> ignored_;
};

Connection::Connection(std::unique_ptr<Transport> transport, ConnectionHost& host)
    : transport_(std::move(transport)),
      host_(host),
      reader_(*transport_, host.config),
      write_watchdog_(transport_->executor()) {
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
  asio::post(transport_->executor(), [self = shared_from_this()] { self->transport_->close(); });
}

asio::awaitable<void> Connection::run(std::shared_ptr<Connection> self) {
  // A client that connects and says nothing must not stay for ever in the handshake.
  self->watch_writes();
  const bool speaks = co_await self->transport_->handshake();
  self->write_watchdog_.cancel();
  if (!speaks) co_return;
  asio::co_spawn(
      self->transport_->executor(),
      [](std::shared_ptr<Connection> connection) -> asio::awaitable<void> {
        co_await connection->reader_.read_ahead();
      }(self),
      asio::detached);
  co_await self->serve();
  self->transport_->close();
  self->reader_.stop();
}

asio::awaitable<void> Connection::serve() {
  bool goes_on = true;
  while (goes_on) {
    ReadResult read = co_await reader_.next(in_seconds(host_.config.keep_alive_seconds));
    goes_on = co_await answer(std::move(read));
  }
  watch_writes();
  co_await transport_->finish();
  write_watchdog_.cancel();
}

asio::awaitable<bool> Connection::answer(ReadResult read) {
  if (!read.request) {
    if (read.status == 0) co_return false;
    const ApiError error{.status = read.status, .message = read.error};
    const HttpResponse response = openai_error(error);
    std::string bytes =
        response_head(response, {.keep_alive = false, .content_length = response.body.size()});
    bytes += response.body;
    co_await write(bytes);
    co_return false;
  }
  HttpExchange exchange(*this, std::move(read));
  try {
    if (host_.draining && exchange.request().path != kHealthPath) {
      const ApiError error{
          .status = 503, .message = "the server is going down", .retry_after_seconds = 5};
      HttpResponse response = openai_error(error);
      co_await exchange.respond(std::move(response));
    } else {
      co_await host_.router.handle(exchange);
    }
  } catch (const std::exception&) {
    co_return false;  // exchange.h: the connection ends
  }
  co_return co_await exchange.end();
}

// A write that makes no progress for this long is given up.
void Connection::watch_writes() {
  write_watchdog_.expires_at(in_seconds(host_.config.request_seconds));
  write_watchdog_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (!error && self) self->transport_->close();
  });
}

asio::awaitable<bool> Connection::write(std::string_view bytes) {
  // In pieces, so that a slow reader of a long answer makes progress.
  constexpr size_t kPiece = 64 * 1024;
  while (!bytes.empty() && !write_failed_) {
    const std::string_view piece = bytes.substr(0, kPiece);
    watch_writes();
    const bool written = co_await transport_->write(asio::buffer(piece));
    write_watchdog_.cancel();
    write_failed_ = !written;
    bytes.remove_prefix(piece.size());
  }
  co_return !write_failed_;
}

}  // namespace octavo::server
