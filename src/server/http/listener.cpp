#include "server/http/listener.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <utility>

#include "base/error.h"
#include "server/complain.h"

namespace octavo::server {
namespace {

using boost::system::error_code;
constexpr auto use_tuple = asio::as_tuple(asio::use_awaitable);

using Acceptor = asio::basic_socket_acceptor<asio::generic::stream_protocol>;

error_code bind(Acceptor& acceptor, const asio::generic::stream_protocol& protocol,
                const asio::generic::stream_protocol::endpoint& endpoint) {
  error_code error;
  acceptor.open(protocol, error);
  // A restart must not wait for the connections of the last run to be forgotten.
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  return error;
}

bool somebody_listens(asio::io_context& context, const std::string& path) {
  asio::local::stream_protocol::socket probe(context);
  error_code error;
  probe.connect(asio::local::stream_protocol::endpoint(path), error);
  return !error;
}

}  // namespace

Result<std::unique_ptr<Listener>> Listener::tcp(asio::io_context& context, const std::string& host,
                                                int64_t port) {
  // The resolver's meaning of it, all addresses, is nobody's who left a variable of a script empty.
  if (host.empty()) return invalid_input("host: it is empty; 0.0.0.0 or :: stands for all");
  error_code error;
  asio::ip::tcp::resolver resolver(context);
  const auto found =
      resolver.resolve(host, std::to_string(port), asio::ip::tcp::resolver::passive, error);
  if (error || found.empty()) return invalid_input("host: {}: {}", host, error.message());
  const asio::ip::tcp::endpoint wanted = found.begin()->endpoint();
  Acceptor acceptor(asio::make_strand(context));
  error = bind(acceptor, asio::generic::stream_protocol(wanted.protocol()), wanted);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    const char* field = error == std::errc::address_not_available ? "host" : "port";
    return io_error("{}: {}:{}: {}", field, host, port, error.message());
  }

  const auto local = acceptor.local_endpoint();
  asio::ip::tcp::endpoint bound = wanted;
  bound.resize(local.size());
  std::memcpy(bound.data(), local.data(), local.size());
  const std::string address = bound.address().is_v6() ? fmt::format("[{}]:{}", host, bound.port())
                                                      : fmt::format("{}:{}", host, bound.port());
  return std::unique_ptr<Listener>(new Listener(context, std::move(acceptor), address));
}

Result<std::unique_ptr<Listener>> Listener::unix_socket(asio::io_context& context,
                                                        const std::string& path) {
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return invalid_input("unix-socket: {}: more than {} bytes", path,
                         sizeof(sockaddr_un::sun_path) - 1);
  }
  struct stat status = {};
  if (::lstat(path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode)) return invalid_input("unix-socket: {} is no socket", path);
    if (somebody_listens(context, path)) {
      return io_error("unix-socket: {}: another server listens there", path);
    }
    ::unlink(path.c_str());
  }
  Acceptor acceptor(asio::make_strand(context));
  const asio::local::stream_protocol::endpoint wanted(path);
  error_code error = bind(acceptor, asio::generic::stream_protocol(wanted.protocol()), wanted);
  // Nobody can connect before it listens.
  if (!error && ::chmod(path.c_str(), 0600) != 0) {
    error.assign(errno, boost::system::system_category());
  }
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return io_error("unix-socket: {}: {}", path, error.message());
  std::unique_ptr<Listener> listener(new Listener(context, std::move(acceptor), "unix:" + path));
  listener->file_ = path;
  return listener;
}

Listener::~Listener() {
  if (!file_.empty()) ::unlink(file_.c_str());
}

void Listener::start(std::function<void(Transport::Socket)> take) {
  asio::co_spawn(acceptor_.get_executor(), accept(*this, std::move(take)), asio::detached);
}

void Listener::stop() {
  asio::post(acceptor_.get_executor(), [this] {
    error_code ignored;
    acceptor_.close(ignored);
  });
}

asio::awaitable<void> Listener::accept(Listener& self,
                                       std::function<void(Transport::Socket)> take) {
  while (self.acceptor_.is_open()) {
    const asio::any_io_executor strand = asio::make_strand(self.context_);
    auto [error, socket] = co_await self.acceptor_.async_accept(strand, use_tuple);
    if (!error) {
      // A token must not wait for the one after it. (A Unix socket does not know this option.)
      error_code ignored;
      socket.set_option(asio::ip::tcp::no_delay(true), ignored);
      try {
        take(std::move(socket));
      } catch (const std::exception& failure) {  // out of memory: this client is lost, no other
        complain(std::string("a connection is refused: ") + failure.what());
      }
      continue;
    }
    // Out of file descriptors, most likely: some will be free again.
    asio::steady_timer pause(self.acceptor_.get_executor(), std::chrono::milliseconds(50));
    co_await pause.async_wait(use_tuple);
  }
}

}  // namespace octavo::server
