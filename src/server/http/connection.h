// Connection: one client's requests, answered in order, until it or the server has enough.
//
// Owned by its coroutines; others may hold weak pointers. Everything but start(), drain() and
// close() runs on the transport's executor.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

#include "server/http/request_reader.h"
#include "server/http/transport.h"
#include "server/router.h"
#include "server/server_config.h"

namespace octavo::server {

// What connections share.
struct ConnectionHost {
  const ServerConfig& config;
  const Router& router;
  std::atomic<bool> draining{false};
  std::atomic<int64_t> connections{0};  // open ones
  std::atomic<int64_t> requests{0};     // being answered
  std::atomic<uint64_t> next_request{1};
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::unique_ptr<Transport> transport, ConnectionHost& host);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void start();
  void drain();  // any thread: ends if no request is in progress
  void close();  // any thread: ends now

 private:
  class HttpExchange;

  static asio::awaitable<void> run(std::shared_ptr<Connection> self);
  asio::awaitable<void> serve();
  asio::awaitable<bool> answer(ReadResult read);
  // False once the client takes nothing any more: gone, or too slow.
  asio::awaitable<bool> write(std::string_view bytes);
  void watch_writes();

  std::unique_ptr<Transport> transport_;
  ConnectionHost& host_;
  RequestReader reader_;
  bool write_failed_ = false;
  asio::steady_timer write_watchdog_;
};

}  // namespace octavo::server
