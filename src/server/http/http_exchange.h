// HttpExchange: the Exchange of a connection. Frames the answer as the client understands it, and
// says what became of the request in the access log and the account of its API key.
//
// On the connection's executor. The connection's reader and writer outlive it.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "server/http/connection_host.h"
#include "server/http/request_reader.h"
#include "server/http/writer.h"

namespace octavo::server {

class HttpExchange final : public Exchange {
 public:
  HttpExchange(ConnectionHost& host, RequestReader& reader, Writer& writer, RequestHead head);
  HttpExchange(const HttpExchange&) = delete;
  HttpExchange& operator=(const HttpExchange&) = delete;
  ~HttpExchange() override;

  const HttpRequest& request() const override { return request_; }
  const std::string& id() const override { return id_; }
  asio::any_io_executor executor() const override { return executor_; }
  asio::awaitable<void> respond(HttpResponse response) override;
  asio::awaitable<void> begin_stream(HttpResponse head) override;
  asio::awaitable<void> write(std::string_view bytes) override;
  bool client_gone() const override { return writer_.failed() || reader_.client_gone(); }
  void on_client_gone(std::function<void()> call) override;
  void report(const Usage& usage) override;
  void note_ignored(std::vector<std::string> fields) override;

  void set_body(std::string body) { request_.body = std::move(body); }
  void set_key(KeyUse key) { key_.emplace(std::move(key)); }
  // The answer is to be the connection's last.
  void close_after() { keep_alive_ = false; }
  bool is_answered() const { return status_ != 0; }

  // After the handler. False when the connection ends here.
  asio::awaitable<bool> end();

 private:
  void add_headers(HttpResponse& response) const;
  void begin_answer(int status);
  bool sends_body() const { return request_.method != "HEAD"; }
  asio::awaitable<void> send(std::string_view bytes);
  void log() const;

  ConnectionHost& host_;
  RequestReader& reader_;
  Writer& writer_;
  const asio::any_io_executor executor_;
  HttpRequest request_;
  std::string id_;
  std::optional<std::string> traceparent_;
  std::optional<KeyUse> key_;
  const bool is_http_1_1_;
  bool keep_alive_;
  bool is_stream_ = false;
  int status_ = 0;  // of the answer, once it has begun
  const int64_t written_before_;
  const Signal::TimePoint begun_at_;
  Signal::TimePoint answered_at_;
  Usage usage_;
};

}  // namespace octavo::server
