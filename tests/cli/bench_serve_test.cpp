// octavo bench serve: its plans, its arithmetic, and a small load on a real server.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "cli/load_client.h"
#include "cli/load_report.h"
#include "cli/load_workload.h"
#include "octavo/engine.h"
#include "server/server.h"

namespace octavo::cli {
namespace {

TEST(LoadWorkloadTest, PromptsBeginAlikeAndThenDiffer) {
  const auto plan = plan_shared_prefix(
      {.requests = 3, .shared_tokens = 20, .own_tokens = 10, .output_tokens = 5}, 1000, 7);
  ASSERT_EQ(plan.size(), 3u);
  for (const PlannedRequest& request : plan) {
    ASSERT_EQ(request.prompt.size(), 30u);
    EXPECT_EQ(request.output_tokens, 5);
    EXPECT_TRUE(
        std::equal(request.prompt.begin(), request.prompt.begin() + 20, plan[0].prompt.begin()));
    EXPECT_GE(*std::min_element(request.prompt.begin(), request.prompt.end()), 500);
    EXPECT_LT(*std::max_element(request.prompt.begin(), request.prompt.end()), 1000);
  }
  EXPECT_NE(plan[0].prompt, plan[1].prompt);
  EXPECT_NE(plan[1].prompt, plan[2].prompt);
}

TEST(LoadWorkloadTest, EqualSeedsGiveEqualPlans) {
  const SharedPrefixShape shape;
  EXPECT_EQ(plan_shared_prefix(shape, 512, 1)[5].prompt,
            plan_shared_prefix(shape, 512, 1)[5].prompt);
  EXPECT_NE(plan_shared_prefix(shape, 512, 1)[5].prompt,
            plan_shared_prefix(shape, 512, 2)[5].prompt);
}

TEST(LoadWorkloadTest, APoissonProcessHasItsRateAndItsSpread) {
  std::vector<PlannedRequest> plan(20000);
  draw_times(plan, 50, 3);
  EXPECT_TRUE(std::is_sorted(plan.begin(), plan.end(),
                             [](const auto& a, const auto& b) { return a.at_s < b.at_s; }));
  // The count's deviation is the square root of the count: four of them are 2.9 %.
  EXPECT_NEAR(plan.back().at_s, 400, 400 * 0.029);
  // Gaps of an exponential distribution are longer than their mean with a probability of 1 / e.
  size_t longer = 0;
  for (size_t i = 1; i < plan.size(); ++i) {
    if (plan[i].at_s - plan[i - 1].at_s > 1.0 / 50) ++longer;
  }
  EXPECT_NEAR(static_cast<double>(longer) / 20000.0, 0.3679, 0.014);
}

TEST(LoadWorkloadTest, ATraceIsReplayedFasterWithItsSharedPieces) {
  simulate::Workload trace;
  trace.requests = {{.arrival_s = 0, .prompt_length = 600, .output_length = 9, .pieces = {4, 5}},
                    {.arrival_s = 3, .prompt_length = 5000, .output_length = 9},
                    {.arrival_s = 8, .prompt_length = 530, .output_length = 7, .pieces = {4, 6}}};
  const auto plan = plan_trace(trace, 2048, 4, 1000, 1);
  ASSERT_EQ(plan.size(), 2u) << "one does not fit";
  EXPECT_EQ(plan[1].at_s, 2);
  EXPECT_EQ(plan[1].prompt.size(), 530u);
  EXPECT_EQ(plan[1].output_tokens, 7);
  EXPECT_TRUE(
      std::equal(plan[0].prompt.begin(), plan[0].prompt.begin() + 512, plan[1].prompt.begin()));
  EXPECT_NE(plan[0].prompt[512], plan[1].prompt[512]);
}

TEST(LoadTargetTest, AnAddressIsTakenApart) {
  const auto target = parse_target("http://localhost:8080/api/");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->host, "localhost");
  EXPECT_EQ(target->port, "8080");
  EXPECT_EQ(target->path, "/api");
  EXPECT_EQ(parse_target("http://[::1]:81")->host, "::1");
  EXPECT_EQ(parse_target("http://here")->port, "80");
  EXPECT_FALSE(parse_target("https://here"));
  EXPECT_FALSE(parse_target("http://:80"));
}

TEST(AnswerReaderTest, CountsTextsAndTakesTheUsage) {
  RequestRecord record;
  AnswerReader reader(record);
  reader.feed("data: {\"choices\":[{\"text\":\"\"}]}\n\ndata: {\"choices\":[{\"te", 1);
  reader.feed("xt\":\"a\"}]}\n\n: ping\n\n", 2);
  reader.feed("data: {\"choices\":[{\"text\":\"b\"}]}\r\n\r\n", 2.5);
  reader.feed(
      "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3,"
      "\"prompt_tokens_details\":{\"cached_tokens\":5}}}\n\ndata: [DONE]\n\n",
      3);
  reader.finish();
  EXPECT_TRUE(record.ok()) << record.error;
  EXPECT_EQ(record.first_s, 2);
  EXPECT_EQ(record.last_s, 2.5);
  EXPECT_EQ(record.gaps_s, std::vector<double>{0.5});
  EXPECT_EQ(record.prompt_tokens, 7);
  EXPECT_EQ(record.cached_tokens, 5);
  EXPECT_EQ(record.output_tokens, 3);
}

TEST(AnswerReaderTest, WhatBreaksOffHasFailed) {
  const auto error_after = [](std::string_view bytes) {
    RequestRecord record;
    AnswerReader reader(record);
    reader.feed(bytes, 1);
    reader.finish();
    return record.error;
  };
  EXPECT_EQ(error_after("data: {\"choices\":[{\"text\":\"a\"}]}\n\n"), "the answer breaks off");
  EXPECT_EQ(error_after("data: [DONE]\n\n"), "the answer has no text");
  EXPECT_EQ(error_after("data: nonsense\n\n"), "an event is no JSON object");
  EXPECT_EQ(error_after("data: {\"error\":\"full\"}\n\ndata: [DONE]\n\n"), "\"full\"");
}

TEST(LoadReportTest, PercentilesAreValuesThatOccurred) {
  std::vector<double> values(100);
  std::iota(values.rbegin(), values.rend(), 1.0);
  const Spread spread = spread_of(values);
  EXPECT_EQ(spread.mean, 50.5);
  EXPECT_EQ(spread.p50, 50);
  EXPECT_EQ(spread.p90, 90);
  EXPECT_EQ(spread.p99, 99);
  EXPECT_EQ(spread.most, 100);
  EXPECT_EQ(spread_of({3}).p99, 3);
  EXPECT_EQ(spread_of({}).most, 0);
}

std::vector<RequestRecord> two_good_one_failed() {
  RequestRecord quick{.asked_s = 1,
                      .first_s = 1.1,
                      .last_s = 1.5,
                      .gaps_s = {0.1, 0.3},
                      .prompt_tokens = 10,
                      .cached_tokens = 4,
                      .output_tokens = 3};
  RequestRecord slow{.asked_s = 2,
                     .first_s = 4,
                     .last_s = 5,
                     .gaps_s = {1},
                     .prompt_tokens = 20,
                     .output_tokens = 2};
  RequestRecord failed{.asked_s = 3, .error = "429: no"};
  return {quick, slow, failed};
}

TEST(LoadReportTest, RatesAreOverTheWholeTime) {
  const LoadReport report = make_report(two_good_one_failed(), {});
  EXPECT_EQ(report.requests, 3);
  EXPECT_EQ(report.failed, 1);
  EXPECT_EQ(report.first_error, "429: no");
  EXPECT_EQ(report.good, 2);
  EXPECT_EQ(report.seconds, 4);
  EXPECT_EQ(report.prompt_tokens, 30);
  EXPECT_EQ(report.cached_tokens, 4);
  EXPECT_EQ(report.output_tokens, 5);
  EXPECT_DOUBLE_EQ(report.first_token.most, 2);
  EXPECT_DOUBLE_EQ(report.whole.p50, 0.5);
  EXPECT_DOUBLE_EQ(report.per_token.p50, 0.2);
  EXPECT_DOUBLE_EQ(report.between_tokens.most, 1);
  EXPECT_EQ(to_json(report)["output_tokens_per_second"], 1.25);
}

TEST(LoadReportTest, EachLimitCountsForTheGoodput) {
  const auto good = [](const ServiceLimits& limits) {
    return make_report(two_good_one_failed(), limits).good;
  };
  EXPECT_EQ(good({.first_token_s = 1}), 1);
  EXPECT_EQ(good({.per_token_s = 0.5}), 1);
  EXPECT_EQ(good({.whole_s = 1}), 1);
  EXPECT_EQ(good({.whole_s = 0.1}), 0);
  EXPECT_EQ(good({.first_token_s = 5, .per_token_s = 5, .whole_s = 5}), 2);
}

class LoadTest : public testing::Test {
 protected:
  LoadTest() {
    auto engine = Engine::create({.model_path = "builtin", .threads = 2});
    if (!engine) throw std::runtime_error(engine.error().message);
    engine_ = std::move(engine).value();
    auto server = server::Server::start(*engine_, {.port = 0});
    if (!server) throw std::runtime_error(server.error().message);
    server_ = std::move(server).value();
  }
  LoadReport load(const std::vector<PlannedRequest>& plan, const LoadOptions& options) {
    const auto target = parse_target(server_->addresses().at(0));
    return make_report(run_load(*target, plan, options), {});
  }

  const SharedPrefixShape shape_{
      .requests = 12, .shared_tokens = 48, .own_tokens = 8, .output_tokens = 10};
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<server::Server> server_;
};

TEST_F(LoadTest, EveryRequestOfAClosedLoopIsAnswered) {
  const LoadReport report = load(plan_shared_prefix(shape_, 512, 1), {.users = 3});
  EXPECT_EQ(report.failed, 0) << report.first_error;
  EXPECT_EQ(report.output_tokens, 120);
  EXPECT_EQ(report.prompt_tokens, 12 * 56);
  // All but the first users find the 48 tokens.
  EXPECT_GE(report.cached_tokens, 9 * 48);
  EXPECT_GT(report.first_token.p50, 0);
}

TEST_F(LoadTest, AnOpenLoopSendsAtItsTimes) {
  std::vector<PlannedRequest> plan = plan_shared_prefix(shape_, 512, 1);
  for (size_t i = 0; i < plan.size(); ++i) plan[i].at_s = 0.02 * static_cast<double>(i);
  const LoadReport report = load(plan, {});
  EXPECT_EQ(report.failed, 0) << report.first_error;
  EXPECT_GE(report.seconds, 0.22);
}

TEST_F(LoadTest, RefusalsAndSilenceAreFailures) {
  auto plan = plan_shared_prefix(shape_, 512, 1);
  plan[3].output_tokens = 1'000'000;
  const LoadReport report = load(plan, {.users = 2});
  EXPECT_EQ(report.failed, 1);
  EXPECT_TRUE(report.first_error.starts_with("400: ")) << report.first_error;
  plan.resize(1);
  plan[0].at_s = 60;
  EXPECT_EQ(load(plan, {.timeout_s = 0.05}).first_error, "it was not over in time");
}

}  // namespace
}  // namespace octavo::cli
