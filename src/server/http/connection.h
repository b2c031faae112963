// Connection: one client's requests, answered in order, until it or the server has enough.
//
// Owned by its coroutines; others may hold weak pointers. Everything but start(), drain() and
// close() runs on the transport's executor.
#pragma once

#include <memory>
#include <optional>

#include "server/http/connection_host.h"
#include "server/http/http_exchange.h"
#include "server/http/request_reader.h"
#include "server/http/transport.h"
#include "server/http/writer.h"

namespace octavo::server {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<Transport> transport, ConnectionHost& host);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void start();
  void drain();  // any thread: ends if no request is in progress
  void close();  // any thread: ends now; its requests are cancelled

 private:
  static asio::awaitable<void> run(std::shared_ptr<Connection> self);
  asio::awaitable<void> serve();
  asio::awaitable<void> say_goodbye();
  // False when the connection ends after it.
  asio::awaitable<bool> answer(RequestHead head);
  asio::awaitable<bool> read_body(HttpExchange& exchange, bool awaits_continue);
  // False when the handler did not get to its end.
  asio::awaitable<bool> handle(HttpExchange& exchange);
  asio::awaitable<void> refuse_unread();
  // What is answered before the handler is asked.
  std::optional<HttpResponse> early_answer(HttpExchange& exchange);

  const std::shared_ptr<Transport> transport_;
  ConnectionHost& host_;
  RequestReader reader_;
  Writer writer_;
};

}  // namespace octavo::server
