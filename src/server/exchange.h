// Exchange: one HTTP request and its answer, as a handler sees them.
//
// A handler is a coroutine. It answers once: with respond(), or with begin_stream(), any number of
// write() and its own end. Everything runs on the exchange's executor, one thing at a time; nothing
// here may be called from another thread. The connection owns the exchange; it lives until the
// handler is over. A handler must end soon after its client has gone: the server's end waits for
// it. An exception that leaves a handler closes the connection.
//
// g++ 12 destroys a braced temporary in a co_await expression twice: write
// `HttpResponse response{...}; co_await exchange.respond(std::move(response));`.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace octavo::server {

namespace asio = boost::asio;

struct HttpRequest {
  std::string method;  // "GET"
  std::string path;    // percent-decoded, without the query
  std::string query;   // as it came, without the '?'
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;

  // The first header of this name, in any case; nothing without one.
  std::optional<std::string_view> header(std::string_view name) const;
};

// Why a request was not served.
enum class Rejection { queue_full, too_long, bad_input, api_key, key_limits, draining, no_memory };

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  // further ones
  std::optional<Rejection> rejection = {};                   // for the metrics
};

// What a request used: for the access log and the limits of its API key.
struct Usage {
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // of the prompt
  int64_t generated_tokens = 0;

  Usage& operator+=(const Usage& more);
};

class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual const HttpRequest& request() const = 0;
  virtual const std::string& id() const = 0;  // names the request in logs and X-Request-Id
  virtual asio::any_io_executor executor() const = 0;

  virtual asio::awaitable<void> respond(HttpResponse response) = 0;

  // Sends the head of an answer whose body comes piece by piece; `head.body` is its beginning.
  virtual asio::awaitable<void> begin_stream(HttpResponse head) = 0;
  // Returns when the bytes are on their way, which a slow reader delays. Without effect once the
  // client has gone.
  virtual asio::awaitable<void> write(std::string_view bytes) = 0;

  virtual bool client_gone() const = 0;  // it closed the connection
  // `call` is called once, when the client goes, at once if it has gone. Replaces an earlier call.
  virtual void on_client_gone(std::function<void()> call) = 0;

  // Adds to what the request has used.
  virtual void report(const Usage& usage) = 0;
  // Members of the body that nobody knows, for the debug log.
  virtual void note_ignored(std::vector<std::string> fields) = 0;
};

using Handler = std::function<asio::awaitable<void>(Exchange&)>;

}  // namespace octavo::server
