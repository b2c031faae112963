#include "server/server.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ssl/context.hpp>
#include <list>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "server/http/connection.h"
#include "server/http/listener.h"
#include "server/routes.h"
#include "server/service.h"

namespace octavo::server {
namespace {

// Threads for what would hold up connections: long texts to tokenize, big JSON to parse.
constexpr size_t kWorkers = 2;

Result<void> check_config(const ServerConfig& config) {
  Result<void> status;
  visit_server_config(config, [&status](const ConfigField& field, const auto& value) {
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, int64_t>) {
      if (status.ok() && (value < field.minimum || value > field.maximum)) {
        status = invalid_input("{}: {} is not between {} and {}", field.name, value, field.minimum,
                               field.maximum);
      }
    }
  });
  return status;
}

class ServerImpl final : public Server {
 public:
  ServerImpl(Engine& engine, const ServerConfig& config)
      : config_(config),
        workers_(kWorkers),
        service_{engine, config_, workers_},
        router_(make_router(service_)),
        host_{.config = config_, .router = router_},
        work_(context_.get_executor()) {}

  ~ServerImpl() override {
    for_connections([](Connection& connection) { connection.close(); });
    work_.reset();
    context_.stop();
    for (std::thread& thread : threads_) thread.join();
    workers_.join();
  }

  Result<void> open() {
    OCTAVO_TRY(read_certificate());
    OCTAVO_ASSIGN(auto tcp, Listener::tcp(context_, config_.host, config_.port));
    listeners_.push_back(std::move(tcp));
    if (!config_.unix_socket.empty()) {
      OCTAVO_ASSIGN(auto local, Listener::unix_socket(context_, config_.unix_socket));
      listeners_.push_back(std::move(local));
    }
    for (size_t i = 0; i < listeners_.size(); ++i) {
      const bool use_tls = tls_ && i == 0;
      listeners_[i]->start(
          [this, use_tls](Transport::Socket socket) { take(std::move(socket), use_tls); });
    }
    for (int64_t i = 0; i < config_.io_threads; ++i) {
      threads_.emplace_back([this] { context_.run(); });
    }
    return {};
  }

  std::vector<std::string> addresses() const override {
    std::vector<std::string> all = {(tls_ ? "https://" : "http://") + listeners_[0]->address()};
    for (size_t i = 1; i < listeners_.size(); ++i) all.push_back(listeners_[i]->address());
    return all;
  }

  void begin_drain() override {
    host_.draining = true;
    for_connections([](Connection& connection) { connection.drain(); });
  }
  bool is_drained() const override { return host_.requests == 0; }

 private:
  Result<void> read_certificate() {
    if (config_.tls_cert.empty() && config_.tls_key.empty()) return {};
    if (config_.tls_cert.empty()) return invalid_input("tls-cert: it is missing beside tls-key");
    if (config_.tls_key.empty()) return invalid_input("tls-key: it is missing beside tls-cert");
    namespace ssl = asio::ssl;
    tls_.emplace(ssl::context::tls_server);
    tls_->set_options(ssl::context::default_workarounds | ssl::context::no_tlsv1 |
                      ssl::context::no_tlsv1_1 | ssl::context::no_compression);
    boost::system::error_code error;
    tls_->use_certificate_chain_file(config_.tls_cert, error);
    if (error) {
      return invalid_input("tls-cert: {}: {}", config_.tls_cert, error.message());
    }
    tls_->use_private_key_file(config_.tls_key, ssl::context::pem, error);
    if (error) {
      return invalid_input("tls-key: {}: {}", config_.tls_key, error.message());
    }
    return {};
  }

  void take(Transport::Socket socket, bool use_tls) {
    // More than the limit are closed at once, which their clients notice.
    if (host_.connections >= config_.max_connections) return;
    auto transport = use_tls ? make_tls_transport(std::move(socket), *tls_)
                             : make_plain_transport(std::move(socket));
    auto connection = std::make_shared<Connection>(std::move(transport), host_);
    {
      const std::lock_guard lock(mutex_);
      connections_.remove_if([](const auto& weak) { return weak.expired(); });
      connections_.push_back(connection);
    }
    connection->start();
  }

  template <class Call>
  void for_connections(Call call) {
    const std::lock_guard lock(mutex_);
    for (const std::weak_ptr<Connection>& weak : connections_) {
      if (const auto connection = weak.lock()) call(*connection);
    }
  }

  const ServerConfig config_;
  asio::thread_pool workers_;
  const Service service_;
  const Router router_;
  ConnectionHost host_;
  std::optional<asio::ssl::context> tls_;
  asio::io_context context_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::mutex mutex_;
  std::list<std::weak_ptr<Connection>> connections_;
  std::vector<std::thread> threads_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(Engine& engine, const ServerConfig& config) {
  OCTAVO_TRY(check_config(config));
  auto server = std::make_unique<ServerImpl>(engine, config);
  OCTAVO_TRY(server->open());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace octavo::server
