#include "server/http/transport.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <utility>

namespace octavo::server {
namespace {

using boost::system::error_code;
constexpr auto use_tuple = asio::as_tuple(asio::use_awaitable);

// What a stream and a socket under TLS have in common.
template <class Stream>
class StreamTransport : public Transport {
 public:
  template <class... Args>
  explicit StreamTransport(Args&&... args) : stream_(std::forward<Args>(args)...) {}

  asio::any_io_executor executor() override { return stream_.get_executor(); }

  asio::awaitable<size_t> read_some(asio::mutable_buffer buffer) override {
    const auto [error, bytes] = co_await stream_.async_read_some(buffer, use_tuple);
    co_return error ? 0 : bytes;
  }

  asio::awaitable<bool> write(asio::const_buffer bytes) override {
    const auto [error, written] = co_await asio::async_write(stream_, bytes, use_tuple);
    co_return !error;
  }

  void close() override {
    error_code ignored;
    stream_.lowest_layer().close(ignored);
  }

 protected:
  Stream stream_;
};

class PlainTransport final : public StreamTransport<Transport::Socket> {
 public:
  using StreamTransport::StreamTransport;

  asio::awaitable<bool> handshake() override { co_return true; }
  asio::awaitable<void> finish() override {
    error_code ignored;
    stream_.shutdown(asio::socket_base::shutdown_send, ignored);
    co_return;
  }
};

class TlsTransport final : public StreamTransport<asio::ssl::stream<Transport::Socket>> {
 public:
  using StreamTransport::StreamTransport;

  asio::awaitable<bool> handshake() override {
    const auto [error] =
        co_await stream_.async_handshake(asio::ssl::stream_base::server, use_tuple);
    co_return !error;
  }
  asio::awaitable<void> finish() override { co_await stream_.async_shutdown(use_tuple); }
};

}  // namespace

std::shared_ptr<Transport> make_plain_transport(Transport::Socket socket) {
  return std::make_shared<PlainTransport>(std::move(socket));
}

std::shared_ptr<Transport> make_tls_transport(Transport::Socket socket, asio::ssl::context& tls) {
  return std::make_shared<TlsTransport>(std::move(socket), tls);
}

}  // namespace octavo::server
