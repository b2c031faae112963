// Which handler a request comes to, and what those get that come to none.
#include "server/router.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "server/fake_exchange.h"

namespace octavo::server {
namespace {

Handler says(std::string text) {
  return [text = std::move(text)](Exchange& exchange) -> asio::awaitable<void> {
    HttpResponse response;
    response.body = text;
    co_await exchange.respond(std::move(response));
  };
}

class RouterTest : public testing::Test {
 protected:
  RouterTest() {
    router_.add("GET", "/a", says("get a"));
    router_.add("POST", "/a", says("post a"));
    router_.add("GET", "/b", says("get b"));
  }
  HttpResponse ask(std::string method, std::string path) {
    FakeExchange exchange(std::move(method), std::move(path));
    exchange.run([this](Exchange& e) { return router_.handle(e); });
    return exchange.response;
  }

  Router router_;
};

TEST_F(RouterTest, GoesByMethodAndPath) {
  EXPECT_EQ(ask("GET", "/a").body, "get a");
  EXPECT_EQ(ask("POST", "/a").body, "post a");
  EXPECT_EQ(ask("HEAD", "/b").body, "get b");
}

TEST_F(RouterTest, UnknownPathsAreNotFound) {
  const HttpResponse response = ask("GET", "/a/");
  EXPECT_EQ(response.status, 404);
  const auto body = nlohmann::json::parse(response.body);
  EXPECT_EQ(body["error"]["message"], "there is no /a/");
  EXPECT_EQ(body["error"]["type"], "invalid_request_error");
}

TEST_F(RouterTest, OtherMethodsAreToldWhichThereAre) {
  const HttpResponse response = ask("DELETE", "/a");
  EXPECT_EQ(response.status, 405);
  ASSERT_EQ(response.headers.size(), 1u);
  EXPECT_EQ(response.headers[0].second, "GET, POST");
}

TEST_F(RouterTest, LabelsAreBounded) {
  EXPECT_EQ(router_.label("/a"), "/a");
  EXPECT_EQ(router_.label("/etc/passwd"), "other");
}

}  // namespace
}  // namespace octavo::server
