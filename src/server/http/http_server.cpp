#include "server/http/http_server.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <list>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "server/http/connection.h"
#include "server/http/listener.h"

namespace octavo::server {
namespace {

class HttpServerImpl final : public HttpServer {
 public:
  HttpServerImpl(const ServerConfig& config, const Router& router, Metrics* metrics)
      : config_(config),
        host_{.config = config, .router = router, .metrics = metrics},
        work_(context_.get_executor()) {}

  ~HttpServerImpl() override {
    for (const auto& listener : listeners_) listener->stop();
    {
      const std::lock_guard lock(mutex_);
      is_closing_ = true;
    }
    for_connections([](Connection& connection) { connection.close(); });
    wait_for_handlers();
    work_.reset();
    context_.stop();
    for (std::thread& thread : threads_) thread.join();
  }

  Result<void> open() {
    if (config_.log_level != "info" && config_.log_level != "debug") {
      return invalid_input("log-level: '{}' is neither info nor debug", config_.log_level);
    }
    if (!config_.api_keys.empty()) {
      OCTAVO_ASSIGN(api_keys_, ApiKeys::open(config_.api_keys));
      host_.api_keys = api_keys_.get();
    }
    if (!config_.access_log.empty()) {
      OCTAVO_ASSIGN(access_log_, AccessLog::open(config_.access_log));
      host_.access_log = access_log_.get();
    }
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
    if (error) return invalid_input("tls-cert: {}: {}", config_.tls_cert, error.message());
    tls_->use_private_key_file(config_.tls_key, ssl::context::pem, error);
    if (error) return invalid_input("tls-key: {}: {}", config_.tls_key, error.message());
    return {};
  }

  void take(Transport::Socket socket, bool use_tls) {
    const std::lock_guard lock(mutex_);
    // More than the limit are closed at once, which their clients notice.
    if (is_closing_ || host_.connections >= config_.max_connections) return;
    auto transport = use_tls ? make_tls_transport(std::move(socket), *tls_)
                             : make_plain_transport(std::move(socket));
    auto connection = std::make_shared<Connection>(std::move(transport), host_);
    forget_closed_ones();
    connections_.push_back(connection);
    connection->start();
  }

  // Once in a while, so that a connection costs the same however many there are.
  void forget_closed_ones() {
    constexpr size_t kFew = 64;
    if (connections_.size() < 2 * static_cast<size_t>(host_.connections) + kFew) return;
    connections_.remove_if([](const auto& weak) { return weak.expired(); });
  }

  template <class Call>
  void for_connections(Call call) {
    const std::lock_guard lock(mutex_);
    for (const std::weak_ptr<Connection>& weak : connections_) {
      if (const auto connection = weak.lock()) call(*connection);
    }
  }

  // The context may only end when no other thread posts to it any more: handlers hold streams of
  // the engine, and work on other threads.
  void wait_for_handlers() const {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (host_.connections > 0) {
      OCTAVO_CHECK(std::chrono::steady_clock::now() < limit,
                   "a handler did not end when its client went");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  const ServerConfig& config_;
  std::unique_ptr<ApiKeys> api_keys_;
  std::unique_ptr<AccessLog> access_log_;
  ConnectionHost host_;
  std::optional<asio::ssl::context> tls_;
  asio::io_context context_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::mutex mutex_;  // guards the next two
  bool is_closing_ = false;
  std::list<std::weak_ptr<Connection>> connections_;
  std::vector<std::thread> threads_;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::start(const ServerConfig& config,
                                                      const Router& router, Metrics* metrics) {
  auto server = std::make_unique<HttpServerImpl>(config, router, metrics);
  OCTAVO_TRY(server->open());
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace octavo::server
