// RequestReader: HTTP/1 requests out of the bytes of a connection, one after the other.
//
// Bytes are read ahead, also while a request is being answered: that is how a client that goes away
// is noticed, and where pipelined requests wait, in a buffer of fixed size. Runs on the transport's
// executor.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "server/exchange.h"
#include "server/http/signal.h"
#include "server/http/transport.h"
#include "server/server_config.h"

namespace octavo::server {

// A request, or why there is none.
struct ReadResult {
  std::optional<HttpRequest> request;
  bool keep_alive = false;  // the client can take another answer on this connection
  bool is_http_1_1 = true;  // it understands chunks
  int status = 0;           // no request: the status to answer with; 0: the client has gone
  std::string error = {};   // its message
};

class RequestReader {
 public:
  RequestReader(Transport& transport, const ServerConfig& config);

  // Reads ahead until the connection is over; run beside everything else.
  asio::awaitable<void> read_ahead();

  // The next request. `idle_until`: when to give up if none begins.
  asio::awaitable<ReadResult> next(Signal::TimePoint idle_until);

  bool client_gone() const { return at_end_; }
  void on_client_gone(std::function<void()> call);
  bool is_idle() const { return waits_for_first_byte_; }
  void stop();  // next() ends as if the client had gone

 private:
  struct Parser;

  // False when there will be none, or not in time.
  asio::awaitable<bool> wait_for_bytes(Signal::TimePoint deadline);
  // Feeds the parser until `done` or `result` says why not.
  asio::awaitable<bool> parse(Parser& parser, bool (*done)(const Parser&), ReadResult& result);
  asio::awaitable<bool> answer_expectation(const Parser& parser, ReadResult& result);

  Transport& transport_;
  const ServerConfig& config_;
  std::vector<char> incoming_;  // where the read under way writes
  std::string unread_;          // at most most_unread() and one more read
  bool at_end_ = false;
  bool stopped_ = false;
  bool waits_for_first_byte_ = false;
  Signal::TimePoint deadline_;  // of the request being read
  Signal arrived_;
  Signal has_room_;
  std::function<void()> on_client_gone_;
};

}  // namespace octavo::server
