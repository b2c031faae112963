// Listener: accepts the connections of one address.
//
// Made and started before the server's threads run.
#pragma once

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "octavo/result.h"
#include "server/http/transport.h"

namespace octavo::server {

class Listener {
 public:
  // The errors name the setting: "port: 127.0.0.1:8080: Address already in use".
  static Result<std::unique_ptr<Listener>> tcp(asio::io_context& context, const std::string& host,
                                               int64_t port);
  // A socket file that no server listens on any more is replaced; ours is removed at the end. Only
  // the user may connect.
  static Result<std::unique_ptr<Listener>> unix_socket(asio::io_context& context,
                                                       const std::string& path);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Hands every socket that comes to `take`, each on a strand of its own.
  void start(std::function<void(Transport::Socket)> take);
  void stop();  // any thread

  const std::string& address() const { return address_; }  // "127.0.0.1:8080", "unix:/run/x"

 private:
  using Acceptor = asio::basic_socket_acceptor<asio::generic::stream_protocol>;

  Listener(asio::io_context& context, Acceptor acceptor, std::string address)
      : context_(context), acceptor_(std::move(acceptor)), address_(std::move(address)) {}
  static asio::awaitable<void> accept(Listener& self, std::function<void(Transport::Socket)> take);

  asio::io_context& context_;
  Acceptor acceptor_;
  std::string address_;
  std::string file_;  // of a Unix socket, to remove
};

}  // namespace octavo::server
