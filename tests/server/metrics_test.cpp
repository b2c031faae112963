// What /metrics says: times from events, counts from the engine, and the names a dashboard uses.
#include "server/metrics.h"

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <thread>

#include "engine/engine_run.h"
#include "server/api_error.h"
#include "server/fake_exchange.h"
#include "server/http_client.h"
#include "server/json_body.h"
#include "server/routes.h"
#include "server/server.h"

namespace octavo::server {
namespace {

using std::chrono::milliseconds;

// The value of the line that begins with `name`, which may have labels; -1 without one.
double value(const std::string& text, const std::string& name) {
  const size_t at = ("\n" + text).find("\n" + name + " ");
  return at == std::string::npos ? -1 : std::stod(text.substr(at + name.size() + 1));
}

Event tokens(int32_t output, size_t count, FinishReason finish = FinishReason::none) {
  Event event;
  event.output = output;
  event.tokens.resize(count);
  event.finish = finish;
  return event;
}

class RequestTimesTest : public testing::Test {
 protected:
  double metric(const std::string& name) const { return value(metrics_.scrape({}), name); }
  RequestTimes::TimePoint at(int64_t ms) const { return begin_ + milliseconds(ms); }

  Metrics metrics_;
  const RequestTimes::TimePoint begin_ = std::chrono::steady_clock::now();
};

TEST_F(RequestTimesTest, TellApartWaitingPrefillAndDecode) {
  RequestTimes times(metrics_, 1, begin_);
  Event first = tokens(0, 1);
  first.prompt = {.cached_tokens = 0, .queued_seconds = 0.25};
  times.add(first, at(1000));
  times.add(tokens(0, 1), at(1100));
  times.add(tokens(0, 2), at(1500));
  times.add(tokens(0, 0, FinishReason::length), at(1600));
  EXPECT_DOUBLE_EQ(metric("octavo:request_queue_time_seconds_sum"), 0.25);
  EXPECT_DOUBLE_EQ(metric("octavo:request_prefill_time_seconds_sum"), 0.75);
  EXPECT_DOUBLE_EQ(metric("octavo:time_to_first_token_seconds_sum"), 1.0);
  EXPECT_DOUBLE_EQ(metric("octavo:request_decode_time_seconds_sum"), 0.5);
  EXPECT_DOUBLE_EQ(metric("octavo:e2e_request_latency_seconds_sum"), 1.6);
  EXPECT_EQ(metric("octavo:inter_token_latency_seconds_count"), 3);
  EXPECT_DOUBLE_EQ(metric("octavo:inter_token_latency_seconds_sum"), 0.5);
  EXPECT_EQ(metric("octavo:inter_token_latency_seconds_bucket{le=\"0.1\"}"), 1);
  EXPECT_EQ(metric("octavo:inter_token_latency_seconds_bucket{le=\"0.2\"}"), 3);
  EXPECT_NEAR(metric("octavo:request_time_per_output_token_seconds_sum"), 0.5 / 3, 1e-9);
  EXPECT_EQ(metric("octavo:request_success_total{finished_reason=\"length\"}"), 1);
}

TEST_F(RequestTimesTest, ARequestEndsWithItsLastOutput) {
  RequestTimes times(metrics_, 2, begin_);
  times.add(tokens(1, 1, FinishReason::stop), at(100));
  EXPECT_EQ(metric("octavo:e2e_request_latency_seconds_count"), 0);
  times.add(tokens(0, 1, FinishReason::length), at(300));
  EXPECT_EQ(metric("octavo:time_to_first_token_seconds_count"), 1);
  EXPECT_EQ(metric("octavo:e2e_request_latency_seconds_count"), 1);
  EXPECT_DOUBLE_EQ(metric("octavo:e2e_request_latency_seconds_sum"), 0.3);
  times.end();
  EXPECT_EQ(metric("octavo:request_success_total{finished_reason=\"stop\"}"), 1);
  EXPECT_EQ(metric("octavo:request_success_total{finished_reason=\"length\"}"), 1);
  EXPECT_EQ(metric("octavo:request_success_total{finished_reason=\"abort\"}"), 0);
}

TEST_F(RequestTimesTest, WhatIsGivenUpIsCountedAndNotTimed) {
  RequestTimes times(metrics_, 3, begin_);
  times.add(tokens(0, 1), at(100));
  times.add(tokens(1, 0, FinishReason::cancelled), at(100));
  times.end();
  EXPECT_EQ(metric("octavo:request_success_total{finished_reason=\"abort\"}"), 3);
  EXPECT_EQ(metric("octavo:e2e_request_latency_seconds_count"), 0);
}

TEST(MetricsTest, CountRejectionsByReason) {
  Metrics metrics;
  metrics.count_rejection(Rejection::key_limits);
  metrics.count_rejection(Rejection::key_limits);
  metrics.count_rejection(Rejection::draining);
  const std::string text = metrics.scrape({});
  EXPECT_EQ(value(text, "octavo:request_rejected_total{reason=\"key_limits\"}"), 2);
  EXPECT_EQ(value(text, "octavo:request_rejected_total{reason=\"draining\"}"), 1);
  EXPECT_EQ(value(text, "octavo:request_rejected_total{reason=\"queue_full\"}"), 0);
}

TEST(MetricsTest, AnErrorsAnswerKnowsTheReason) {
  const auto reason = [](ErrorKind kind) {
    return openai_error(api_error({kind, "prompt: no"})).rejection;
  };
  EXPECT_EQ(reason(ErrorKind::invalid_input), Rejection::bad_input);
  EXPECT_EQ(reason(ErrorKind::unsupported), Rejection::too_long);
  EXPECT_EQ(reason(ErrorKind::resource), Rejection::queue_full);
  EXPECT_EQ(openai_error({.status = 503}).rejection, Rejection::draining);
  EXPECT_EQ(openai_error({.status = 429, .reason = Rejection::key_limits}).rejection,
            Rejection::key_limits);
  EXPECT_FALSE(HttpResponse().rejection);
}

TEST(MetricsTest, TheEnginesNumbersAreThoseOfItsStats) {
  EngineStats stats;
  stats.running = 3;
  stats.waiting = 4;
  stats.preempted = 5;
  stats.blocks_total = 8;
  stats.blocks_in_use = 2;
  stats.blocks_cached = 1;
  stats.prefix_query_tokens = 100;
  stats.prefix_hit_tokens = 60;
  const std::string text = Metrics().scrape(stats);
  EXPECT_EQ(value(text, "octavo:num_requests_running"), 3);
  EXPECT_EQ(value(text, "octavo:num_requests_waiting"), 4);
  EXPECT_EQ(value(text, "octavo:num_requests_swapped"), 5);
  EXPECT_EQ(value(text, "octavo:kv_cache_usage_perc"), 0.25);
  EXPECT_EQ(value(text, "octavo:kv_cache_blocks{state=\"cached\"}"), 1);
  EXPECT_EQ(value(text, "octavo:prefix_cache_queries_total"), 100);
  EXPECT_EQ(value(text, "octavo:prefix_cache_hits_total"), 60);
}

// Each family once, with help and type before its values; buckets add up.
TEST(MetricsTest, TheTextIsWellFormed) {
  Metrics metrics;
  RequestTimes times(metrics, 1, {});
  times.add(tokens(0, 1), RequestTimes::TimePoint(milliseconds(150)));
  times.add(tokens(0, 1, FinishReason::stop), RequestTimes::TimePoint(milliseconds(5000000)));
  const std::string text = metrics.scrape({});
  const std::regex line(
      "# HELP (octavo:[a-z0-9_]+) [^\\\\]+"
      "|# TYPE (octavo:[a-z0-9_]+) (counter|gauge|histogram)"
      "|(octavo:[a-z0-9_]+?)(_bucket|_sum|_count)?(\\{[a-z_]+=\"[a-zA-Z0-9_.+]+\"\\})? [-+.e0-9]+");
  std::set<std::string> families;
  std::string family, type;
  std::istringstream lines(text);
  for (std::string each; std::getline(lines, each);) {
    std::smatch match;
    ASSERT_TRUE(std::regex_match(each, match, line)) << each;
    if (match[1].matched) {
      family = match[1];
      EXPECT_TRUE(families.insert(family).second) << each;
    } else if (match[2].matched) {
      EXPECT_EQ(match[2], family);
      type = match[3];
    } else {
      EXPECT_EQ(type == "histogram" ? match[4].str() : match[4].str() + match[5].str(), family);
      EXPECT_EQ(type == "histogram", match[5].matched) << each;
    }
  }
  const std::string latency = "octavo:inter_token_latency_seconds";  // 4999.85
  EXPECT_EQ(value(text, latency + "_bucket{le=\"1000\"}"), 0);
  EXPECT_EQ(value(text, latency + "_bucket{le=\"+Inf\"}"), 1);
  EXPECT_EQ(value(text, "octavo:time_to_first_token_seconds_bucket{le=\"0.1\"}"), 0);
  EXPECT_EQ(value(text, "octavo:time_to_first_token_seconds_bucket{le=\"0.2\"}"), 1);
  EXPECT_EQ(value(text, "octavo:time_to_first_token_seconds_bucket{le=\"+Inf\"}"), 1);
}

TEST(HistogramTest, AValueAtABoundIsInItsBucket) {
  constexpr std::array kBounds = {1.0, 2.0};
  Histogram histogram(kBounds);
  for (const double each : {0.5, 1.0, 1.5, 2.0, 2.5}) histogram.observe(each);
  EXPECT_EQ(histogram.counts().at_most, (std::vector<int64_t>{2, 4, 5}));
  EXPECT_EQ(histogram.counts().sum, 7.5);
}

// /metrics, after one request through /v1/completions.
TEST(MetricsRouteTest, TellsOfServedRequests) {
  const auto engine = make_engine({.model_path = "builtin", .threads = 2});
  const ServerConfig config;
  Workers workers;
  const Service service{*engine, config, workers};
  const Router router = make_router(service);
  const Json body = {{"prompt", "Once upon a time"}, {"max_tokens", 5}, {"n", 2}};
  FakeExchange served("POST", "/v1/completions", body.dump());
  served.run([&](Exchange& e) { return router.handle(e); });
  ASSERT_EQ(served.response.status, 200);
  // The engine tells its events before its numbers.
  while (engine->stats().generated_tokens < 10) std::this_thread::yield();

  FakeExchange scraped("GET", "/metrics");
  scraped.run([&](Exchange& e) { return router.handle(e); });
  EXPECT_EQ(scraped.response.content_type, "text/plain; version=0.0.4; charset=utf-8");
  const std::string& text = scraped.response.body;
  EXPECT_EQ(value(text, "octavo:generation_tokens_total"), 10);
  EXPECT_EQ(value(text, "octavo:time_to_first_token_seconds_count"), 1);
  EXPECT_EQ(value(text, "octavo:e2e_request_latency_seconds_count"), 1);
  EXPECT_EQ(value(text, "octavo:request_success_total{finished_reason=\"length\"}"), 2);
}

TEST(MetricsRouteTest, RefusalsAreCountedWhenTheyAreSent) {
  const auto engine = make_engine({.model_path = "builtin", .threads = 2});
  const auto server = Server::start(*engine, {.port = 0});
  ASSERT_TRUE(server) << server.error().message;
  HttpClient client((*server)->addresses().at(0));
  const auto ask = [&client](const std::string& line, const std::string& body) {
    return client.ask(line + " HTTP/1.1\r\nHost: test\r\nContent-Length: " +
                      std::to_string(body.size()) + "\r\n\r\n" + body);
  };
  EXPECT_EQ(ask("GET /nothing", "").status, 404);
  EXPECT_EQ(ask("POST /v1/completions", R"({"prompt": "a", "max_tokens": 1000000})").status, 400);
  EXPECT_EQ(ask("POST /v1/completions", R"({"prompt": "a", "top_p": 7})").status, 400);
  const std::string text = ask("GET /metrics", "").body;
  EXPECT_EQ(value(text, "octavo:request_rejected_total{reason=\"too_long\"}"), 1);
  EXPECT_EQ(value(text, "octavo:request_rejected_total{reason=\"bad_input\"}"), 2);
}

TEST(MetricsTest, EveryMetricOfTheDashboardIsThere) {
  const auto path = std::filesystem::path(OCTAVO_TEST_DATA) / "../../contrib/grafana/octavo.json";
  std::ifstream file(path);
  const Json dashboard = Json::parse(file, nullptr, false);
  ASSERT_FALSE(dashboard.is_discarded()) << path;
  const std::string text = Metrics().scrape({});
  const std::string json = dashboard.dump();
  const std::regex name("octavo:[a-z0-9_]+");
  std::set<std::string> names;
  for (std::sregex_iterator at(json.begin(), json.end(), name), end; at != end; ++at) {
    names.insert(at->str());
  }
  EXPECT_GT(names.size(), 20u);
  for (const std::string& metric : names) {
    const bool is_there = text.find("\n" + metric + " ") != std::string::npos ||
                          text.find("\n" + metric + "{") != std::string::npos;
    EXPECT_TRUE(is_there) << metric;
  }
}

}  // namespace
}  // namespace octavo::server
