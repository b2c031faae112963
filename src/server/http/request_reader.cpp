// Beast 1.81 asserts that 5 bytes of a last chunk are there, before it has looked: "0\r\n\r" is a
// beginning, and no fault of ours.
#define BOOST_DISABLE_ASSERTS
#include "server/http/request_reader.h"

#include <fmt/format.h>

#include <boost/algorithm/string/predicate.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <utility>

namespace octavo::server {
namespace {

namespace http = boost::beast::http;
using boost::algorithm::iequals;
using boost::system::error_code;

constexpr size_t kReadBytes = 16 * 1024;
constexpr uint64_t kShortBody = 64 * 1024;

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

// RFC 9112, 3.2: "/path?query", or the whole "http://host/path?query", which servers must take too.
bool read_target(std::string_view target, HttpRequest& request) {
  if (!target.starts_with('/')) {
    const size_t scheme = target.find("://");
    if (scheme == target.npos) return false;
    const size_t slash = target.find('/', scheme + 3);
    target = slash == target.npos ? "/" : target.substr(slash);
  }
  const size_t question = target.find('?');
  std::optional<std::string> path = percent_decoded(target.substr(0, question));
  if (!path) return false;
  request.path = std::move(*path);
  if (question != target.npos) request.query = target.substr(question + 1);
  return true;
}

}  // namespace

struct RequestReader::Parser : http::request_parser<http::string_body> {};

RequestReader::RequestReader(Transport& transport, const ServerConfig& config,
                             ByteBudget& body_bytes)
    : transport_(transport),
      config_(config),
      body_bytes_(body_bytes),
      incoming_(kReadBytes),
      arrived_(transport.executor()),
      has_room_(transport.executor()) {}

RequestReader::~RequestReader() {
  body_bytes_.give_back(held_bytes_);
}

asio::awaitable<void> RequestReader::read_ahead() {
  while (!at_end_) {
    if (unread_.size() >= most_unread()) {
      co_await has_room_.wait();
      continue;
    }
    const size_t bytes = co_await transport_.read_some(asio::buffer(incoming_));
    if (bytes == 0) stop();
    if (!discards_) unread_.append(incoming_.data(), bytes);
    arrived_.notify();
  }
}

void RequestReader::on_client_gone(std::function<void()> call) {
  on_client_gone_ = std::move(call);
  if (at_end_ && on_client_gone_) std::exchange(on_client_gone_, nullptr)();
}

void RequestReader::stop() {
  if (std::exchange(at_end_, true)) return;
  arrived_.notify();
  has_room_.notify();
  if (on_client_gone_) std::exchange(on_client_gone_, nullptr)();
}

asio::awaitable<void> RequestReader::discard(Signal::TimePoint deadline) {
  discards_ = true;
  unread_.clear();
  has_room_.notify();
  while (!at_end_ && std::chrono::steady_clock::now() < deadline) {
    co_await arrived_.wait(deadline);
  }
}

void RequestReader::refuse(int status, std::string message) {
  error_ = ApiError{.status = status, .message = std::move(message)};
  if (status == 503) error_->retry_after_seconds = 1;
}

asio::awaitable<bool> RequestReader::wait_for_bytes(Signal::TimePoint deadline) {
  const size_t had = unread_.size();
  while (unread_.size() == had) {
    if (at_end_ || std::chrono::steady_clock::now() >= deadline) co_return false;
    co_await arrived_.wait(deadline);
  }
  co_return true;
}

// False at the end of the connection, and, with an error, at the request's deadline.
asio::awaitable<bool> RequestReader::wait_for_more() {
  const bool more = co_await wait_for_bytes(deadline_);
  if (!more && !at_end_) {
    refuse(408,
           fmt::format("the request did not arrive within {} seconds", config_.request_seconds));
  }
  co_return more;
}

// RFC 9112, 2.2: empty lines before a request are no part of it.
asio::awaitable<bool> RequestReader::begin(Signal::TimePoint idle_until) {
  while (unread_.empty() || unread_.starts_with("\r\n") || unread_ == "\r") {
    if (unread_.starts_with("\r\n")) {
      unread_.erase(0, 2);
      continue;
    }
    is_idle_ = true;
    const bool more = co_await wait_for_bytes(idle_until);
    is_idle_ = false;
    if (!more) co_return false;
  }
  co_return true;
}

bool RequestReader::feed(bool& needs_more) {
  error_code error;
  const size_t used = parser_->put(asio::buffer(unread_), error);
  unread_.erase(0, used);
  bytes_of_request_ += static_cast<int64_t>(used);
  has_room_.notify();
  needs_more = error == http::error::need_more || unread_.empty();
  if (!error || error == http::error::need_more) return true;
  if (error == http::error::header_limit) {
    refuse(431, fmt::format("the header is longer than {} bytes", config_.max_header_bytes));
  } else if (error == http::error::body_limit) {
    refuse(413, fmt::format("the body is longer than {} bytes", config_.max_body_bytes));
  } else {
    refuse(400, "this is not HTTP/1.1: " + error.message());
  }
  return false;
}

asio::awaitable<bool> RequestReader::parse_head() {
  // Beast's own limit holds for what is there at once; this one for all that came.
  const int64_t most = config_.max_header_bytes;
  parser_->header_limit(static_cast<uint32_t>(most));
  parser_->body_limit(static_cast<uint64_t>(config_.max_body_bytes));
  for (;;) {
    bool needs_more = false;
    if (!feed(needs_more)) co_return false;
    const bool is_done = parser_->is_header_done();
    const auto unread = static_cast<int64_t>(is_done ? 0 : unread_.size());
    if (bytes_of_request_ + unread > most) {
      refuse(431, fmt::format("the header is longer than {} bytes", most));
      co_return false;
    }
    if (is_done) co_return true;
    if (needs_more) {
      const bool more = co_await wait_for_more();
      if (!more) co_return false;
    }
  }
}

bool RequestReader::hold_body() {
  const auto more = static_cast<int64_t>(parser_->get().body().size()) - held_bytes_;
  if (!body_bytes_.take(more)) return false;
  held_bytes_ += more;
  return true;
}

asio::awaitable<bool> RequestReader::parse_body() {
  parser_->eager(true);
  bool needs_more = unread_.empty();
  while (!parser_->is_done()) {
    if (needs_more) {
      if (unread_.size() >= most_unread()) {
        refuse(400, "the head of a chunk is too long");
        co_return false;
      }
      const bool more = co_await wait_for_more();
      if (!more) co_return false;
    }
    if (!feed(needs_more)) co_return false;
    if (!hold_body()) {
      refuse(503, "the bodies of the requests in progress fill the memory for them");
      co_return false;
    }
  }
  co_return true;
}

// The head as handlers see it. What could be read in two ways, by us and by a proxy before us, is
// refused (RFC 9112, 11.2).
std::optional<RequestHead> RequestReader::take_head() {
  const auto& message = parser_->get();
  RequestHead head{.is_http_1_1 = message.version() >= 11, .keep_alive = message.keep_alive()};
  HttpRequest& request = head.request;
  request.method = std::string(message.method_string());
  for (const auto& field : message) {
    request.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
  }
  const auto fields = [&message](http::field name) { return message.count(name); };
  const auto expected = request.header("Expect");
  const auto encoding = request.header("Content-Encoding");
  if (!read_target({message.target().data(), message.target().size()}, request)) {
    refuse(400, "the request's target is not a path");
  } else if (fields(http::field::host) > 1 ||
             (head.is_http_1_1 && fields(http::field::host) == 0)) {
    refuse(400, "Host: there must be one");
  } else if (fields(http::field::transfer_encoding) > 0 && !head.is_http_1_1) {
    refuse(400, "Transfer-Encoding: HTTP/1.0 has none");
  } else if (fields(http::field::transfer_encoding) > 0 &&
             !iequals(*request.header("Transfer-Encoding"), "chunked")) {
    refuse(501, "Transfer-Encoding: only chunked");
  } else if (encoding && !iequals(*encoding, "identity")) {
    refuse(415, "Content-Encoding: only identity");
  } else if (expected && head.is_http_1_1 && !iequals(*expected, "100-continue")) {
    refuse(417, "Expect: only 100-continue");
  } else {
    // RFC 9110, 10.1.1: whose body comes already is not waiting.
    head.awaits_continue = expected && head.is_http_1_1 && !parser_->is_done() && unread_.empty();
    return head;
  }
  return std::nullopt;
}

asio::awaitable<std::optional<RequestHead>> RequestReader::next(Signal::TimePoint idle_until) {
  body_bytes_.give_back(std::exchange(held_bytes_, 0));
  error_.reset();
  const bool has_begun = co_await begin(idle_until);
  if (!has_begun) co_return std::nullopt;
  begun_at_ = std::chrono::steady_clock::now();
  deadline_ = begun_at_ + std::chrono::seconds(config_.request_seconds);
  bytes_of_request_ = 0;
  parser_ = std::make_unique<Parser>();
  const bool has_head = co_await parse_head();
  if (!has_head) co_return std::nullopt;
  co_return take_head();
}

bool RequestReader::is_body_near() const {
  const auto left = parser_->content_length_remaining();
  return parser_->is_done() || (left && *left <= kShortBody);
}

asio::awaitable<std::optional<std::string>> RequestReader::body() {
  const bool is_whole = co_await parse_body();
  if (!is_whole) co_return std::nullopt;
  co_return std::move(parser_->get().body());
}

}  // namespace octavo::server
