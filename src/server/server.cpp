#include "server/server.h"

#include <type_traits>
#include <utility>

#include "base/error.h"
#include "server/http/http_server.h"
#include "server/routes.h"
#include "server/service.h"

namespace octavo::server {
namespace {

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
      : config_(config), service_{engine, config_, workers_}, router_(make_router(service_)) {}

  Result<void> open() {
    OCTAVO_ASSIGN(http_, HttpServer::start(config_, router_, service_.metrics.get()));
    return {};
  }

  std::vector<std::string> addresses() const override { return http_->addresses(); }
  void begin_drain() override { http_->begin_drain(); }
  bool is_drained() const override { return http_->is_drained(); }

 private:
  const ServerConfig config_;
  Workers workers_;
  const Service service_;
  const Router router_;
  std::unique_ptr<HttpServer> http_;  // ends first: its handlers use all of the above
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(Engine& engine, const ServerConfig& config) {
  OCTAVO_TRY(check_config(config));
  auto server = std::make_unique<ServerImpl>(engine, config);
  OCTAVO_TRY(server->open());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace octavo::server
