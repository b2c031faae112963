#include "simulate/lengths.h"

#include <gtest/gtest.h>

#include <cmath>

namespace octavo::simulate {
namespace {

TEST(Lengths, HaveTheMeanAndSpreadOfAGeometricDistribution) {
  constexpr int kDraws = 200'000;
  for (const double mean : {19.31, 337.99}) {
    std::mt19937_64 random(7);
    double sum = 0;
    double squares = 0;
    int ones = 0;
    for (int i = 0; i < kDraws; ++i) {
      const double length = draw_geometric(mean, random);
      ASSERT_GE(length, 1);
      sum += length;
      squares += length * length;
      ones += length == 1 ? 1 : 0;
    }
    // Five standard errors; the deviation of a geometric distribution is about its mean.
    const double average = sum / kDraws;
    EXPECT_NEAR(average, mean, 5 * mean / std::sqrt(kDraws));
    const double deviation = std::sqrt(squares / kDraws - average * average);
    EXPECT_NEAR(deviation, std::sqrt(mean * (mean - 1)), 0.02 * mean);
    EXPECT_NEAR(ones / double{kDraws}, 1 / mean, 5 * std::sqrt(1 / mean / kDraws));
  }
}

TEST(Lengths, OfAWorkloadFitTheContextAndFollowTheSeed) {
  const Result<Workload> one = draw_workload(kShareGpt, 500, 1024, 3);
  const Result<Workload> same = draw_workload(kShareGpt, 500, 1024, 3);
  const Result<Workload> other = draw_workload(kShareGpt, 500, 1024, 4);
  ASSERT_TRUE(one.ok() && same.ok() && other.ok());
  ASSERT_EQ(one->requests.size(), 500u);
  bool is_different = false;
  for (size_t i = 0; i < 500; ++i) {
    const Request& request = one->requests[i];
    EXPECT_LE(request.prompt_length + request.output_length, 1024);
    EXPECT_EQ(request.arrival_s, 0);
    EXPECT_EQ(request.prompt_length, same->requests[i].prompt_length);
    EXPECT_EQ(request.output_length, same->requests[i].output_length);
    is_different = is_different || request.prompt_length != other->requests[i].prompt_length;
  }
  EXPECT_TRUE(is_different);
}

TEST(Lengths, RefuseAContextBelowTheMeans) {
  const Result<Workload> workload = draw_workload(kShareGpt, 10, 499, 1);
  ASSERT_FALSE(workload.ok());
  EXPECT_EQ(workload.error().message,
            "a context of 499 tokens is less than the mean request of sharegpt, 500 tokens");
}

TEST(Lengths, AreKnownByName) {
  EXPECT_EQ(mean_lengths("alpaca")->output, 58.45);
  EXPECT_FALSE(mean_lengths("Alpaca").has_value());
}

TEST(Arrivals, AreAPoissonProcess) {
  Workload workload{.requests = std::vector<Request>(20'000)};
  draw_arrivals(workload, 4, 11);
  for (size_t i = 1; i < workload.requests.size(); ++i) {
    ASSERT_GT(workload.requests[i].arrival_s, workload.requests[i - 1].arrival_s);
  }
  // Five standard deviations of a sum of 20,000 exponential gaps.
  EXPECT_NEAR(workload.requests.back().arrival_s, 5000, 5 * std::sqrt(20'000) / 4);
}

}  // namespace
}  // namespace octavo::simulate
