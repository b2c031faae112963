#include "server/http/request_reader.h"

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <utility>

namespace octavo::server {
namespace {

namespace http = boost::beast::http;
using boost::system::error_code;

constexpr size_t kReadBytes = 16 * 1024;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = hex_digit(text[i + 1]);
    const int low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

void refuse(ReadResult& result, const error_code& error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    result.status = 431;
    result.error = "the header is too long";
  } else if (error == http::error::body_limit) {
    result.status = 413;
    result.error = "the body is too long";
  } else {
    result.status = 400;
    result.error = "this is not HTTP/1.1: " + error.message();
  }
}

// The request as handlers see it. False when its target is not a path.
bool hand_over(http::request<http::string_body>&& message, HttpRequest& request) {
  const std::string_view target(message.target().data(), message.target().size());
  const size_t question = target.find('?');
  std::optional<std::string> path = percent_decoded(target.substr(0, question));
  if (!path || !path->starts_with('/')) return false;
  request.path = std::move(*path);
  if (question != target.npos) request.query = target.substr(question + 1);
  request.method = std::string(message.method_string());
  for (const auto& field : message) {
    request.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
  }
  request.body = std::move(message.body());
  return true;
}

}  // namespace

struct RequestReader::Parser : http::request_parser<http::string_body> {};

RequestReader::RequestReader(Transport& transport, const ServerConfig& config)
    : transport_(transport),
      config_(config),
      incoming_(kReadBytes),
      arrived_(transport.executor()),
      has_room_(transport.executor()) {}

asio::awaitable<void> RequestReader::read_ahead() {
  while (!at_end_ && !stopped_) {
    // A header must fit in whole: the parser takes it in one piece.
    if (unread_.size() >= static_cast<size_t>(config_.max_header_bytes)) {
      co_await has_room_.wait();
      continue;
    }
    const size_t bytes = co_await transport_.read_some(asio::buffer(incoming_));
    unread_.append(incoming_.data(), bytes);
    at_end_ = bytes == 0;
    arrived_.notify();
  }
  if (on_client_gone_) std::exchange(on_client_gone_, nullptr)();
}

void RequestReader::on_client_gone(std::function<void()> call) {
  if (at_end_ && call) return call();
  on_client_gone_ = std::move(call);
}

void RequestReader::stop() {
  stopped_ = true;
  arrived_.notify();
  has_room_.notify();
}

asio::awaitable<bool> RequestReader::wait_for_bytes(Signal::TimePoint deadline) {
  const size_t had = unread_.size();
  while (unread_.size() == had) {
    if (at_end_ || stopped_ || std::chrono::steady_clock::now() >= deadline) co_return false;
    co_await arrived_.wait(deadline);
  }
  co_return true;
}

asio::awaitable<bool> RequestReader::parse(Parser& parser, bool (*done)(const Parser&),
                                           ReadResult& result) {
  while (!done(parser)) {
    error_code error;
    const size_t used = parser.put(asio::buffer(unread_), error);
    unread_.erase(0, used);
    has_room_.notify();
    if (error && error != http::error::need_more) {
      refuse(result, error);
      co_return false;
    }
    if (done(parser)) break;
    if (used > 0 && !unread_.empty() && !error) continue;
    if (unread_.size() >= static_cast<size_t>(config_.max_header_bytes)) {
      refuse(result, http::error::header_limit);
      co_return false;
    }
    const bool more = co_await wait_for_bytes(deadline_);
    if (more) continue;
    if (!at_end_ && !stopped_) {
      result.status = 408;
      result.error = "the request did not arrive within " +
                     std::to_string(config_.request_seconds) + " seconds";
    }
    co_return false;
  }
  co_return true;
}

// RFC 9110, 10.1.1: who expects 100-continue sends the body only then.
asio::awaitable<bool> RequestReader::answer_expectation(const Parser& parser, ReadResult& result) {
  const auto expected = parser.get()[http::field::expect];
  if (expected.empty() || parser.get().version() < 11) co_return true;
  if (!boost::beast::iequals(expected, "100-continue")) {
    result.status = 417;
    result.error = "Expect: only 100-continue";
    co_return false;
  }
  if (!unread_.empty()) co_return true;  // the body comes already
  static constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
  co_return co_await transport_.write(asio::buffer(go_on));
}

asio::awaitable<ReadResult> RequestReader::next(Signal::TimePoint idle_until) {
  ReadResult result;
  waits_for_first_byte_ = true;
  const bool begun = !unread_.empty() || co_await wait_for_bytes(idle_until);
  waits_for_first_byte_ = false;
  if (!begun) co_return result;

  deadline_ = std::chrono::steady_clock::now() + std::chrono::seconds(config_.request_seconds);
  Parser parser;
  parser.header_limit(static_cast<uint32_t>(config_.max_header_bytes));
  parser.body_limit(static_cast<uint64_t>(config_.max_body_bytes));
  const bool has_header = co_await parse(
      parser, [](const Parser& p) { return p.is_header_done(); }, result);
  if (!has_header) co_return result;
  result.is_http_1_1 = parser.get().version() >= 11;
  const bool wanted = co_await answer_expectation(parser, result);
  if (!wanted) co_return result;
  parser.eager(true);
  const bool is_whole = co_await parse(
      parser, [](const Parser& p) { return p.is_done(); }, result);
  if (!is_whole) co_return result;

  result.keep_alive = parser.get().keep_alive();
  if (!hand_over(parser.release(), result.request.emplace())) {
    result.request.reset();
    result.status = 400;
    result.error = "the request's target is not a path";
  }
  co_return result;
}

}  // namespace octavo::server
