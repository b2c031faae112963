// FakeExchange: an exchange without a socket, and handlers run to their end with it.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "server/exchange.h"

namespace octavo::server {

class FakeExchange final : public Exchange {
 public:
  FakeExchange(std::string method, std::string path, std::string body = {})
      : request_{.method = std::move(method), .path = std::move(path), .body = std::move(body)} {}

  const HttpRequest& request() const override { return request_; }
  const std::string& id() const override { return id_; }
  asio::any_io_executor executor() const override { return context().get_executor(); }

  asio::awaitable<void> respond(HttpResponse answer) override {
    EXPECT_EQ(response.status, 0) << "answered twice";
    response = std::move(answer);
    co_return;
  }
  asio::awaitable<void> begin_stream(HttpResponse head) override {
    EXPECT_EQ(response.status, 0) << "answered twice";
    response = std::move(head);
    streamed = true;
    co_return;
  }
  asio::awaitable<void> write(std::string_view bytes) override {
    EXPECT_TRUE(streamed);
    if (!gone_) response.body += bytes;
    if (leave_after_bytes > 0 && response.body.size() >= leave_after_bytes) leave();
    co_return;
  }
  bool client_gone() const override { return gone_; }
  void on_client_gone(std::function<void()> call) override {
    on_gone_ = std::move(call);
    if (gone_ && on_gone_) on_gone_();
  }
  void report(const Usage& used) override { usage += used; }
  void note_ignored(std::vector<std::string> fields) override { ignored = std::move(fields); }

  void leave() {
    if (std::exchange(gone_, true)) return;
    if (on_gone_) std::exchange(on_gone_, nullptr)();
  }

  // Runs the handler to its end.
  void run(const Handler& handler) {
    asio::co_spawn(context(), handler(*this), [](const std::exception_ptr& thrown) {
      if (thrown) std::rethrow_exception(thrown);
    });
    context().run();
    context().restart();
  }

  HttpRequest request_;
  HttpResponse response{.status = 0};
  bool streamed = false;
  Usage usage;
  std::vector<std::string> ignored;
  size_t leave_after_bytes = 0;  // the client goes when it has so many of a stream; 0: it stays

 private:
  // One for all: a worker that has handed its work back may still be inside of it when the exchange
  // is gone.
  static asio::io_context& context() {
    static asio::io_context shared;
    return shared;
  }

  std::string id_ = "test-1";
  bool gone_ = false;
  std::function<void()> on_gone_;
};

}  // namespace octavo::server
