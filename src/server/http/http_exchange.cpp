#include "server/http/http_exchange.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/complain.h"
#include "server/http/cors.h"
#include "server/http/response_head.h"
#include "server/json_body.h"

namespace octavo::server {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

// A client makes up as many names as it likes, as long, and of any bytes.
std::string for_log(std::vector<std::string> names) {
  constexpr size_t kMostNames = 32;
  constexpr size_t kLongestName = 64;
  if (names.size() > kMostNames) names.resize(kMostNames);
  for (std::string& name : names) name.resize(std::min(name.size(), kLongestName));
  constexpr bool kOnlyAscii = true;
  return Json(names).dump(-1, ' ', kOnlyAscii, Json::error_handler_t::replace);
}

}  // namespace

HttpExchange::HttpExchange(ConnectionHost& host, RequestReader& reader, Writer& writer,
                           RequestHead head)
    : host_(host),
      reader_(reader),
      writer_(writer),
      executor_(reader.executor()),
      request_(std::move(head.request)),
      is_http_1_1_(head.is_http_1_1),
      keep_alive_(head.keep_alive && !host.draining),
      written_before_(writer.bytes_written()),
      begun_at_(reader.begun_at()) {
  ++host_.requests;
  const auto own_id = request_.header("X-Request-Id");
  id_ = own_id && is_good_request_id(*own_id) ? std::string(*own_id) : host_.request_ids.next();
  const auto parent = request_.header("traceparent");
  if (parent && is_traceparent(*parent)) traceparent_ = *parent;
}

HttpExchange::~HttpExchange() {
  reader_.on_client_gone(nullptr);
  if (host_.access_log != nullptr) log();
  --host_.requests;
}

void HttpExchange::on_client_gone(std::function<void()> call) {
  reader_.on_client_gone(std::move(call));
}

void HttpExchange::report(const Usage& usage) {
  usage_ += usage;
  if (key_) key_->charge(usage, Clock::now());
}

void HttpExchange::note_ignored(std::vector<std::string> fields) {
  if (host_.config.log_level != "debug" || fields.empty()) return;
  log_debug("request " + id_ + ": ignored fields: " + for_log(std::move(fields)));
}

void HttpExchange::add_headers(HttpResponse& response) const {
  response.headers.emplace_back("X-Request-Id", id_);
  if (traceparent_) response.headers.emplace_back("traceparent", *traceparent_);
  for (auto& header : cors_headers(request_, host_.config.cors_origin)) {
    response.headers.push_back(std::move(header));
  }
}

void HttpExchange::begin_answer(int status) {
  status_ = status;
  answered_at_ = Clock::now();
}

asio::awaitable<void> HttpExchange::send(std::string_view bytes) {
  co_await writer_.write(bytes);
  if (writer_.failed()) reader_.stop();
}

asio::awaitable<void> HttpExchange::respond(HttpResponse response) {
  begin_answer(response.status);
  if (response.rejection && host_.metrics != nullptr) {
    host_.metrics->count_rejection(*response.rejection);
  }
  add_headers(response);
  HeadOptions options{.keep_alive = keep_alive_};
  const bool may_have_body = response.status != 204 && response.status != 304;  // RFC 9110, 8.6
  if (may_have_body) options.content_length = response.body.size();
  std::string bytes = response_head(response, options);
  if (sends_body()) bytes += response.body;
  co_await send(bytes);
}

// To a client of HTTP/1.0, a body that ends with the connection.
asio::awaitable<void> HttpExchange::begin_stream(HttpResponse head) {
  begin_answer(head.status);
  is_stream_ = true;
  if (!is_http_1_1_) keep_alive_ = false;
  add_headers(head);
  const std::string body = std::exchange(head.body, {});
  const HeadOptions options{.keep_alive = keep_alive_, .chunked = is_http_1_1_};
  const std::string bytes = response_head(head, options);
  co_await send(bytes);
  co_await write(body);
}

asio::awaitable<void> HttpExchange::write(std::string_view bytes) {
  if (bytes.empty() || !sends_body()) co_return;  // an empty chunk would end the body
  if (!is_http_1_1_) {
    co_await send(bytes);
    co_return;
  }
  std::string chunk = fmt::format("{:x}\r\n", bytes.size());
  chunk += bytes;
  chunk += "\r\n";
  co_await send(chunk);
}

asio::awaitable<bool> HttpExchange::end() {
  if (is_stream_ && is_http_1_1_ && sends_body()) co_await send("0\r\n\r\n");
  co_return is_answered() && keep_alive_ && !writer_.failed() && !host_.draining;
}

void HttpExchange::log() const {
  const Clock::time_point now = Clock::now();
  AccessRecord record;
  record.begin = std::chrono::system_clock::now() -
                 std::chrono::duration_cast<std::chrono::system_clock::duration>(now - begun_at_);
  record.request_id = id_;
  if (key_) record.key_name = key_->name();
  record.method = request_.method;
  record.path = host_.router.label(request_.path);
  record.status = status_;
  record.bytes_in = reader_.bytes_of_request();
  record.bytes_out = writer_.bytes_written() - written_before_;
  record.seconds_to_answer = seconds_between(begun_at_, is_answered() ? answered_at_ : now);
  record.seconds = seconds_between(begun_at_, now);
  record.usage = usage_;
  record.client_gone = client_gone();
  record.traceparent = traceparent_.value_or("");
  host_.access_log->write(record);
}

}  // namespace octavo::server
