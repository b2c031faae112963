// ApiTest: all routes over the built-in model, asked through exchanges without a socket.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/engine_run.h"
#include "server/fake_exchange.h"
#include "server/json_body.h"
#include "server/routes.h"

namespace octavo::server {

class ApiTest : public testing::Test {
 protected:
  std::unique_ptr<FakeExchange> ask(const std::string& path, const Json& body) {
    auto exchange = std::make_unique<FakeExchange>("POST", path, body.dump());
    exchange->run([this](Exchange& e) { return router_.handle(e); });
    return exchange;
  }
  Json answer(const std::string& path, const Json& body) {
    const auto exchange = ask(path, body);
    EXPECT_EQ(exchange->response.status, 200) << exchange->response.body;
    return Json::parse(exchange->response.body);
  }
  // The chunks of a stream, without the last line.
  std::vector<Json> chunks(const std::string& path, const Json& body) {
    const auto exchange = ask(path, body);
    EXPECT_EQ(exchange->response.content_type, "text/event-stream; charset=utf-8");
    std::vector<Json> chunks;
    std::string_view rest = exchange->response.body;
    while (!rest.empty()) {
      const size_t end = rest.find("\n\n");
      const std::string_view event = rest.substr(0, end);
      EXPECT_TRUE(event.starts_with("data: ")) << event;
      rest.remove_prefix(end + 2);
      if (rest.empty()) {
        EXPECT_EQ(event, "data: [DONE]");
      } else {
        chunks.push_back(Json::parse(event.substr(6)));
      }
    }
    return chunks;
  }
  Json get(const std::string& path) {
    FakeExchange exchange("GET", path);
    exchange.run([this](Exchange& e) { return router_.handle(e); });
    EXPECT_EQ(exchange.response.status, 200) << exchange.response.body;
    return Json::parse(exchange.response.body);
  }
  // The field that the error names, and its message.
  std::pair<std::string, std::string> refusal(const std::string& path, const Json& body,
                                              int status = 400) {
    const auto exchange = ask(path, body);
    EXPECT_EQ(exchange->response.status, status) << body << exchange->response.body;
    const Json error = Json::parse(exchange->response.body)["error"];
    return {error["param"].is_null() ? "" : error["param"].get<std::string>(), error["message"]};
  }

  EngineConfig engine_config_{.model_path = "builtin", .threads = 2};
  std::unique_ptr<Engine> engine_ = make_engine(engine_config_);
  ServerConfig config_{.served_name = "demo"};
  Workers workers_;
  const Service service_{*engine_, config_, workers_};
  const Router router_ = make_router(service_);
};

}  // namespace octavo::server
