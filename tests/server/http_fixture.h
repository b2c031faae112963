// HttpTest: a server with a few simple routes, for the tests of what is below the routes.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/http/http_server.h"
#include "server/http_client.h"

namespace octavo::server {

class HttpTest : public testing::Test {
 protected:
  HttpTest() {
    config_.port = 0;
    router_.add("POST", "/echo", [](Exchange& exchange) { return echo(exchange); });
    router_.add("GET", "/echo", [](Exchange& exchange) { return echo(exchange); });
    router_.add("GET", "/stream", [](Exchange& exchange) { return stream(exchange); });
    router_.add(
        "GET", "/open", [](Exchange& exchange) { return echo(exchange); }, Access::everybody);
    router_.add(
        "GET", "/always", [](Exchange& exchange) { return echo(exchange); }, Access::always);
    router_.add("GET", "/wait", [this](Exchange& exchange) { return wait(*this, exchange); });
    router_.add("POST", "/wait", [this](Exchange& exchange) { return wait(*this, exchange); });
    router_.add("GET", "/flood", [this](Exchange& exchange) { return flood(*this, exchange); });
    router_.add("GET", "/throw", [](Exchange& exchange) { return throw_at_once(exchange); });
    router_.add("GET", "/break", [](Exchange& exchange) { return break_off(exchange); });
    router_.add("POST", "/use", [](Exchange& exchange) { return use(exchange); });
    router_.add("POST", "/ignore", [](Exchange& exchange) { return ignore(exchange); });
  }

  void start() {
    auto server = HttpServer::start(config_, router_);
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(server).value();
  }
  std::string start_error() {
    const auto server = HttpServer::start(config_, router_);
    return server ? "it starts" : server.error().message;
  }
  std::string address() const { return server_->addresses().at(0); }

  HttpAnswer ask(std::string_view request) const {
    HttpClient client(address());
    return client.ask(request);
  }

  // Waits for what must come to be; fails after 20 seconds.
  template <class Condition>
  static void wait_until(Condition condition) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), limit) << "it does not come to be";
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  ServerConfig config_;
  Router router_;
  std::atomic<int> waiting_{0};          // requests in /wait
  std::atomic<bool> go_on_{false};       // lets them be answered
  std::atomic<int64_t> flood_bytes_{0};  // that /flood has written
  std::atomic<bool> flood_ended_{false};
  std::unique_ptr<HttpServer> server_;  // ends first

 private:
  // "METHOD path?query: body"
  static asio::awaitable<void> echo(Exchange& exchange) {
    const HttpRequest& request = exchange.request();
    HttpResponse response{.content_type = "text/plain"};
    response.body = request.method + " " + request.path + "?" + request.query + ": " + request.body;
    co_await exchange.respond(std::move(response));
  }
  static asio::awaitable<void> stream(Exchange& exchange) {
    HttpResponse head{.content_type = "text/plain", .body = "one "};
    co_await exchange.begin_stream(std::move(head));
    co_await exchange.write("two ");
    co_await exchange.write("");
    co_await exchange.write("three");
  }
  static asio::awaitable<void> pause(Exchange& exchange, std::chrono::milliseconds time) {
    asio::steady_timer timer(exchange.executor(), time);
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  static asio::awaitable<void> wait(HttpTest& self, Exchange& exchange) {
    ++self.waiting_;
    while (!self.go_on_ && !exchange.client_gone()) {
      co_await pause(exchange, std::chrono::milliseconds(1));
    }
    --self.waiting_;
    co_await echo(exchange);
  }
  static asio::awaitable<void> flood(HttpTest& self, Exchange& exchange) {
    HttpResponse head;
    co_await exchange.begin_stream(std::move(head));
    const std::string piece(64 * 1024, 'x');
    while (!exchange.client_gone()) {
      co_await exchange.write(piece);
      self.flood_bytes_ += static_cast<int64_t>(piece.size());
    }
    self.flood_ended_ = true;
  }
  static asio::awaitable<void> throw_at_once(Exchange& /*exchange*/) {
    throw std::runtime_error("a fault on purpose");
    co_return;
  }
  static asio::awaitable<void> break_off(Exchange& exchange) {
    HttpResponse head{.body = "a beginning"};
    co_await exchange.begin_stream(std::move(head));
    throw std::runtime_error("a fault on purpose");
  }
  static asio::awaitable<void> use(Exchange& exchange) {
    exchange.report({.prompt_tokens = 60, .cached_tokens = 16, .generated_tokens = 40});
    co_await echo(exchange);
  }
  // The body's lines are names of fields that nobody knows.
  static asio::awaitable<void> ignore(Exchange& exchange) {
    std::istringstream lines(exchange.request().body);
    std::vector<std::string> names;
    for (std::string name; std::getline(lines, name);) names.push_back(name);
    exchange.note_ignored(std::move(names));
    co_await echo(exchange);
  }
};

}  // namespace octavo::server
