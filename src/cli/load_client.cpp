#include "cli/load_client.h"

#include <fmt/format.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace octavo::cli {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using Tcp = asio::ip::tcp;
using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;
using boost::system::error_code;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

class Load {
 public:
  Load(const LoadTarget& target, const std::vector<PlannedRequest>& plan)
      : target_(target), plan_(plan), records_(plan.size()) {}

  std::vector<RequestRecord> run(const LoadOptions& options) {
    error_code error;
    endpoints_ = Tcp::resolver(context_).resolve(target_.host, target_.port, error);
    for (RequestRecord& record : records_) {
      record.error = error ? error.message() : "it was not over in time";
    }
    if (error) return std::move(records_);
    if (options.users > 0) {
      for (int32_t i = 0; i < options.users; ++i) spawn(ask_in_turn(*this));
    } else {
      for (size_t i = 0; i < plan_.size(); ++i) spawn(ask_at_its_time(*this, i));
    }
    context_.run_for(std::chrono::duration_cast<Clock::duration>(
        std::chrono::duration<double>(options.timeout_s)));
    return std::move(records_);
  }

 private:
  void spawn(asio::awaitable<void> task) {
    asio::co_spawn(context_, std::move(task), asio::detached);
  }
  double now_s() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  static asio::awaitable<void> ask_in_turn(Load& load) {
    while (load.next_ < load.plan_.size()) {
      const size_t index = load.next_++;
      load.records_[index].asked_s = load.now_s();
      co_await load.ask(index);
    }
  }

  static asio::awaitable<void> ask_at_its_time(Load& load, size_t index) {
    const double at_s = load.plan_[index].at_s;
    asio::steady_timer timer(load.context_);
    timer.expires_at(load.start_ + std::chrono::duration_cast<Clock::duration>(
                                       std::chrono::duration<double>(at_s)));
    co_await timer.async_wait(kTuple);
    load.records_[index].asked_s = at_s;
    co_await load.ask(index);
  }

  std::string message(const PlannedRequest& request) const {
    Json body = {{"prompt", request.prompt}, {"max_tokens", request.output_tokens},
                 {"temperature", 0},         {"ignore_eos", true},
                 {"stream", true},           {"stream_options", {{"include_usage", true}}}};
    if (!target_.model.empty()) body["model"] = target_.model;
    const std::string text = body.dump();
    std::string head = fmt::format(
        "POST {}/v1/completions HTTP/1.1\r\nHost: {}:{}\r\nContent-Type: application/json\r\n"
        "Content-Length: {}\r\nConnection: close\r\n",
        target_.path, target_.host, target_.port, text.size());
    if (!target_.api_key.empty()) head += "Authorization: Bearer " + target_.api_key + "\r\n";
    return head + "\r\n" + text;
  }

  asio::awaitable<void> ask(size_t index) {
    RequestRecord& record = records_[index];
    Tcp::socket socket(context_);
    const auto [unreachable, endpoint] = co_await asio::async_connect(socket, endpoints_, kTuple);
    if (unreachable) {
      record.error = unreachable.message();
      co_return;
    }
    const std::string bytes = message(plan_[index]);
    const auto [unsent, sent] = co_await asio::async_write(socket, asio::buffer(bytes), kTuple);
    if (unsent) {
      record.error = unsent.message();
      co_return;
    }
    co_await read_answer(socket, record);
  }

  asio::awaitable<void> read_answer(Tcp::socket& socket, RequestRecord& record) {
    boost::beast::flat_buffer buffer;
    http::response_parser<http::buffer_body> parser;
    parser.body_limit(boost::none);
    auto [error, count] = co_await http::async_read_header(socket, buffer, parser, kTuple);
    AnswerReader reader(record);
    record.error.clear();
    std::string refusal;
    std::array<char, 16384> piece{};
    while (!error && !parser.is_done()) {
      parser.get().body() = {piece.data(), piece.size(), true};
      std::tie(error, count) = co_await http::async_read_some(socket, buffer, parser, kTuple);
      if (error == http::error::need_buffer) error = {};
      const std::string_view body(piece.data(), piece.size() - parser.get().body().size);
      if (parser.get().result_int() == 200) {
        reader.feed(body, now_s());
      } else {
        refusal += body;
      }
    }
    if (error) {
      record.error = error.message();
    } else if (parser.get().result_int() != 200) {
      record.error = fmt::format("{}: {}", parser.get().result_int(), printable(refusal));
    } else {
      reader.finish();
    }
  }

  const LoadTarget& target_;
  const std::vector<PlannedRequest>& plan_;
  std::vector<RequestRecord> records_;
  size_t next_ = 0;
  const Clock::time_point start_ = Clock::now();
  Tcp::resolver::results_type endpoints_;
  asio::io_context context_{1};  // ends first, with what is still under way
};

}  // namespace

Result<LoadTarget> parse_target(const std::string& url) {
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme)) {
    return invalid_input("{}: an address such as http://127.0.0.1:8080 expected", printable(url));
  }
  const std::string rest = url.substr(kScheme.size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  LoadTarget target;
  target.host = rest.substr(0, slash);
  target.path = rest.substr(slash);
  while (target.path.ends_with('/')) target.path.pop_back();
  target.port = "80";
  const size_t colon = target.host.rfind(':');
  if (colon != std::string::npos && target.host.back() != ']') {
    target.port = target.host.substr(colon + 1);
    target.host.resize(colon);
  }
  if (target.host.starts_with('[') && target.host.ends_with(']')) {
    target.host = target.host.substr(1, target.host.size() - 2);
  }
  if (target.host.empty() || target.port.empty()) {
    return invalid_input("{}: it names no host or port", printable(url));
  }
  return target;
}

std::vector<RequestRecord> run_load(const LoadTarget& target,
                                    const std::vector<PlannedRequest>& plan,
                                    const LoadOptions& options) {
  return Load(target, plan).run(options);
}

void AnswerReader::feed(std::string_view bytes, double now_s) {
  for (const char c : bytes) {
    if (c != '\n') {
      if (c != '\r') line_ += c;
      continue;
    }
    constexpr std::string_view kData = "data:";
    if (line_.starts_with(kData)) take_event(std::string_view(line_).substr(kData.size()), now_s);
    line_.clear();
  }
}

void AnswerReader::take_event(std::string_view data, double now_s) {
  if (data.find("[DONE]") != std::string_view::npos && data.size() < 10) {
    is_done_ = true;
    return;
  }
  const Json json = Json::parse(data, nullptr, false);
  if (!json.is_object()) {
    record_.error = "an event is no JSON object";
    return;
  }
  if (json.contains("error")) record_.error = printable(json["error"].dump());
  if (const auto usage = json.find("usage"); usage != json.end() && usage->is_object()) {
    record_.prompt_tokens = usage->value("prompt_tokens", int64_t{0});
    record_.output_tokens = usage->value("completion_tokens", int64_t{0});
    const auto details = usage->find("prompt_tokens_details");
    if (details != usage->end() && details->is_object()) {
      record_.cached_tokens = details->value("cached_tokens", int64_t{0});
    }
  }
  const auto choices = json.find("choices");
  if (choices == json.end() || !choices->is_array() || choices->empty()) return;
  if (choices->front().value("text", std::string()).empty()) return;
  if (texts_++ == 0) {
    record_.first_s = now_s;
  } else {
    record_.gaps_s.push_back(now_s - record_.last_s);
  }
  record_.last_s = now_s;
}

void AnswerReader::finish() {
  if (!record_.ok()) return;
  if (!is_done_) record_.error = "the answer breaks off";
  if (texts_ == 0) record_.error = "the answer has no text";
  if (record_.output_tokens == 0) record_.output_tokens = texts_;  // a server that does not say
}

}  // namespace octavo::cli
