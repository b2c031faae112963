// RequestReader: HTTP/1 requests out of the bytes of a connection, one after the other.
//
// Bytes are read ahead, also while a request is being answered: that is how a client that goes away
// is noticed, and where pipelined requests wait, in a buffer of fixed size. (A client that fills
// the buffer is noticed when it is written to.) Runs on the transport's executor.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/api_error.h"
#include "server/exchange.h"
#include "server/http/byte_budget.h"
#include "server/http/signal.h"
#include "server/http/transport.h"
#include "server/server_config.h"

namespace octavo::server {

struct RequestHead {
  HttpRequest request;           // its body is still to come
  bool is_http_1_1 = true;       // the client understands chunks
  bool keep_alive = false;       // it can take another answer on this connection
  bool awaits_continue = false;  // it sends the body when it is told to
};

class RequestReader {
 public:
  RequestReader(Transport& transport, const ServerConfig& config, ByteBudget& body_bytes);
  RequestReader(const RequestReader&) = delete;
  RequestReader& operator=(const RequestReader&) = delete;
  ~RequestReader();

  asio::any_io_executor executor() const { return transport_.executor(); }

  // Reads ahead until the connection is over; run beside everything else.
  asio::awaitable<void> read_ahead();

  // The next request's head; nothing: see error(). `idle_until`: when to give up if none begins.
  asio::awaitable<std::optional<RequestHead>> next(Signal::TimePoint idle_until);
  // Its body; nothing: see error(). Whoever does not want it cannot ask for another request.
  asio::awaitable<std::optional<std::string>> body();
  // The body has come or is short, so that reading it is cheaper than another connection.
  bool is_body_near() const;

  // What to answer in place of a request; nothing when nobody is there to be told.
  const std::optional<ApiError>& error() const { return error_; }
  // Of the request that was last begun.
  Signal::TimePoint begun_at() const { return begun_at_; }
  int64_t bytes_of_request() const { return bytes_of_request_; }

  bool client_gone() const { return at_end_; }
  // `call` is called when the client goes, at once if it has gone.
  void on_client_gone(std::function<void()> call);

  bool is_idle() const { return is_idle_; }  // next() waits for a request to begin
  // As if the client had gone.
  void stop();
  // Throws away what comes, until the client has gone or the time is over.
  asio::awaitable<void> discard(Signal::TimePoint deadline);

 private:
  struct Parser;

  asio::awaitable<bool> begin(Signal::TimePoint idle_until);
  // False when there will be none, or not in time.
  asio::awaitable<bool> wait_for_bytes(Signal::TimePoint deadline);
  // Feeds the parser until it is done with the head, or with the body. False: see error().
  asio::awaitable<bool> parse_head();
  asio::awaitable<bool> parse_body();
  asio::awaitable<bool> wait_for_more();
  // Gives the bytes that are there to the parser. False at an error.
  bool feed(bool& needs_more);
  bool hold_body();
  std::optional<RequestHead> take_head();
  size_t most_unread() const { return static_cast<size_t>(config_.max_header_bytes); }
  void refuse(int status, std::string message);

  Transport& transport_;
  const ServerConfig& config_;
  ByteBudget& body_bytes_;
  int64_t held_bytes_ = 0;  // of the budget
  std::unique_ptr<Parser> parser_;
  std::optional<ApiError> error_;
  std::vector<char> incoming_;  // where the read under way writes
  std::string unread_;          // at most most_unread() and one more read
  bool at_end_ = false;
  bool discards_ = false;
  bool is_idle_ = false;
  Signal::TimePoint begun_at_;
  Signal::TimePoint deadline_;  // of the request being read
  int64_t bytes_of_request_ = 0;
  Signal arrived_;
  Signal has_room_;
  std::function<void()> on_client_gone_;
};

}  // namespace octavo::server
