// NeighbourTest: all routes over the built-in model, and answers as JSON, for the APIs of others.
#pragma once

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

class NeighbourTest : public testing::Test {
 protected:
  explicit NeighbourTest(std::unique_ptr<Engine> engine = make_engine({.model_path = "builtin",
                                                                       .threads = 2}))
      : engine_(std::move(engine)) {}

  std::unique_ptr<FakeExchange> ask(const std::string& method, const std::string& path,
                                    const std::string& body = {}) {
    auto exchange = std::make_unique<FakeExchange>(method, path, body);
    exchange->run([this](Exchange& e) { return router_.handle(e); });
    return exchange;
  }
  Json post(const std::string& path, const Json& body) {
    const auto exchange = ask("POST", path, body.dump());
    EXPECT_EQ(exchange->response.status, 200) << body << exchange->response.body;
    return Json::parse(exchange->response.body, nullptr, false);
  }
  Json get(const std::string& path) {
    const auto exchange = ask("GET", path);
    EXPECT_EQ(exchange->response.status, 200) << exchange->response.body;
    return Json::parse(exchange->response.body, nullptr, false);
  }
  // The answer that refuses the body with this status.
  Json refusal(const std::string& path, const Json& body, int status) {
    const auto exchange = ask("POST", path, body.dump());
    EXPECT_EQ(exchange->response.status, status) << body << exchange->response.body;
    EXPECT_TRUE(exchange->response.rejection);
    return Json::parse(exchange->response.body, nullptr, false);
  }
  // 0: a client that has gone is told nothing.
  int status_without_client(const std::string& path, const Json& body) {
    FakeExchange exchange("POST", path, body.dump());
    exchange.leave();
    exchange.run([this](Exchange& e) { return router_.handle(e); });
    return exchange.response.status;
  }
  // What nobody knows of a body that is answered, for the debug log.
  std::vector<std::string> ignored_of(const std::string& path, const Json& body) {
    const auto exchange = ask("POST", path, body.dump());
    EXPECT_EQ(exchange->response.status, 200) << body << exchange->response.body;
    return exchange->ignored;
  }
  // The data of each event of a stream; each begins with `prefix`.
  std::vector<Json> events(const std::string& path, const Json& body,
                           std::string_view prefix = "data: ") {
    const auto exchange = ask("POST", path, body.dump());
    EXPECT_EQ(exchange->response.content_type, "text/event-stream; charset=utf-8");
    std::vector<Json> list;
    std::string_view rest = exchange->response.body;
    while (!rest.empty()) {
      const size_t end = rest.find("\n\n");
      const std::string_view event = rest.substr(0, end);
      EXPECT_TRUE(event.starts_with(prefix)) << event;
      list.push_back(Json::parse(event.substr(prefix.size()), nullptr, false));
      rest.remove_prefix(end + 2);
    }
    return list;
  }
  // What the engine itself gives.
  OutputRecord by_engine(const Request& request) { return run_to_end(*engine_, request).front(); }
  std::vector<int32_t> tokens(const std::string& text, bool add_special = true) {
    return *engine_->tokenize(text, {.add_special = add_special, .parse_special = true});
  }

  std::unique_ptr<Engine> engine_;
  ServerConfig config_{.served_name = "demo"};
  Workers workers_;
  const Service service_{*engine_, config_, workers_};
  const Router router_ = make_router(service_);
};

inline constexpr const char* kStory = "Once upon a time";

}  // namespace octavo::server
