// Transport: a connected socket as bytes in and bytes out, plain or through TLS.
//
// Everything runs on the socket's executor (a strand). One read and one write may be under way at
// once. Errors are not told apart: a connection that does not work any more is over.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <cstddef>
#include <memory>

namespace boost::asio::ssl {
class context;
}

namespace octavo::server {

namespace asio = boost::asio;

class Transport {
 public:
  using Socket = asio::generic::stream_protocol::socket;  // TCP or Unix

  virtual ~Transport() = default;

  virtual asio::any_io_executor executor() = 0;
  // False when the peer does not speak TLS, or not ours.
  virtual asio::awaitable<bool> handshake() = 0;
  // At least one byte; 0 when the peer has closed.
  virtual asio::awaitable<size_t> read_some(asio::mutable_buffer buffer) = 0;
  // All of it, or false.
  virtual asio::awaitable<bool> write(asio::const_buffer bytes) = 0;
  // Says that no more will be written, where the peer is still there to hear it.
  virtual asio::awaitable<void> finish() = 0;
  // Ends what is under way and closes the socket.
  virtual void close() = 0;
};

std::shared_ptr<Transport> make_plain_transport(Transport::Socket socket);
// `tls` must outlive the transport.
std::shared_ptr<Transport> make_tls_transport(Transport::Socket socket, asio::ssl::context& tls);

}  // namespace octavo::server
