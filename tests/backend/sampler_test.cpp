#include "backend/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <random>

#include "backend/random.h"

namespace octavo {
namespace {

SampledToken draw(const std::vector<float>& logits, const SamplingParams& params,
                  uint32_t position = 0, std::vector<int32_t> tokens = {}, int prompt_length = 0,
                  std::vector<int32_t> banned = {}, std::vector<uint32_t> allowed = {}) {
  SamplerScratch scratch;
  SampleRow row{.params = &params,
                .seed = params.seed.value_or(0),
                .position = position,
                .tokens = tokens,
                .prompt_length = prompt_length,
                .banned = banned};
  return sample_row(logits, row, allowed, scratch);
}

// How often each token is drawn over many positions.
std::map<int32_t, double> frequencies(const std::vector<float>& logits,
                                      const SamplingParams& params) {
  std::map<int32_t, double> counts;
  constexpr uint32_t kDraws = 20'000;
  for (uint32_t i = 0; i < kDraws; ++i) counts[draw(logits, params, i).token] += 1.0 / kDraws;
  return counts;
}

// The known answers of the Random123 distribution (kat_vectors, philox4x32 with 10 rounds).
TEST(Random, PhiloxKnownAnswers) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, DrawsAreUniformAndDependOnEveryArgument) {
  double sum = 0.0;
  for (uint32_t i = 0; i < 100'000; ++i) {
    const double draw = uniform_draw(7, 0, i, 0);
    ASSERT_GE(draw, 0.0);
    ASSERT_LT(draw, 1.0);
    sum += draw;
  }
  EXPECT_NEAR(sum / 100'000, 0.5, 0.005);
  const double base = uniform_draw(7, 1, 2, 3);
  EXPECT_EQ(base, uniform_draw(7, 1, 2, 3));
  EXPECT_NE(base, uniform_draw(8, 1, 2, 3));
  EXPECT_NE(base, uniform_draw(7 + (uint64_t{1} << 32), 1, 2, 3));
  EXPECT_NE(base, uniform_draw(7, 2, 2, 3));
  EXPECT_NE(base, uniform_draw(7, 1, 3, 3));
  EXPECT_NE(base, uniform_draw(7, 1, 2, 4));
}

TEST(Sampler, GreedyTakesTheLowestIdOnATie) {
  SamplingParams params{.temperature = 0.0F};
  EXPECT_EQ(draw({1, 5, 2, 5}, params).token, 1);
  EXPECT_EQ(draw({-3, -1, -2}, params).token, 1);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(draw({nan, -1, nan, 4}, params).token, 3);
}

TEST(Sampler, FollowsTheSoftmaxAtEachTemperature) {
  const std::vector<float> logits = {0.0F, 1.0F, 2.0F};
  for (const float temperature : {0.5F, 1.0F, 2.0F}) {
    SamplingParams params{.temperature = temperature, .seed = 11};
    double sum = 0.0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit / temperature));
    auto seen = frequencies(logits, params);
    for (int32_t token = 0; token < 3; ++token) {
      const double expected =
          std::exp(static_cast<double>(logits[static_cast<size_t>(token)] / temperature)) / sum;
      EXPECT_NEAR(seen[token], expected, 0.015) << temperature;  // 4 standard deviations
    }
  }
}

TEST(Sampler, FiltersKeepWhatTheyShould) {
  // Probabilities 0.5, 0.25, 0.15, 0.1.
  const std::vector<float> logits = {std::log(0.15F), std::log(0.5F), std::log(0.1F),
                                     std::log(0.25F)};
  const auto kept = [&](const SamplingParams& params) {
    std::vector<int32_t> tokens;
    for (const auto& [token, share] : frequencies(logits, params)) tokens.push_back(token);
    return tokens;
  };
  EXPECT_EQ(kept({.top_k = 2}), (std::vector<int32_t>{1, 3}));
  EXPECT_EQ(kept({.top_k = 1}), (std::vector<int32_t>{1}));
  EXPECT_EQ(kept({.top_p = 0.74F}), (std::vector<int32_t>{1, 3}));
  EXPECT_EQ(kept({.top_p = 0.76F}), (std::vector<int32_t>{0, 1, 3}));
  EXPECT_EQ(kept({.top_p = 0.01F}), (std::vector<int32_t>{1}));
  EXPECT_EQ(kept({.min_p = 0.4F}), (std::vector<int32_t>{1, 3}));
  EXPECT_EQ(kept({.min_p = 1.0F}), (std::vector<int32_t>{1}));
  EXPECT_EQ(kept({.top_k = 3, .min_p = 0.25F}), (std::vector<int32_t>{0, 1, 3}));
  // Entropy 1.21 nats; surprises 1.90, 0.69, 2.30, 1.39: token 3 is the most typical, then 1.
  EXPECT_EQ(kept({.typical_p = 0.2F}), (std::vector<int32_t>{3}));
  EXPECT_EQ(kept({.typical_p = 0.5F}), (std::vector<int32_t>{1, 3}));
}

// The nucleus is found without sorting the whole vocabulary; a full sort must agree.
TEST(Sampler, TopPAgreesWithAFullSort) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0, 2);
  for (int trial = 0; trial < 50; ++trial) {
    std::vector<float> logits(3000);
    for (float& logit : logits) logit = normal(random);
    std::vector<int32_t> order(logits.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
    std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
    });
    double total = 0.0;
    for (const float logit : logits) total += std::exp(static_cast<double>(logit));
    SamplingParams params{.top_p = 0.8F, .seed = static_cast<uint64_t>(trial)};
    const double target = uniform_draw(*params.seed, 0, 0, 0);
    double mass = 0.0;
    std::vector<double> nucleus;
    for (const int32_t token : order) {
      nucleus.push_back(std::exp(static_cast<double>(logits[static_cast<size_t>(token)])) / total);
      mass += nucleus.back();
      if (mass >= static_cast<double>(0.8F)) break;
    }
    double sum = 0.0;
    size_t expected = 0;
    while ((sum += nucleus[expected] / mass) <= target) ++expected;
    EXPECT_EQ(draw(logits, params).token, order[expected]) << trial;
  }
}

TEST(Sampler, Penalties) {
  SamplingParams greedy{.temperature = 0.0F};
  const std::vector<float> logits = {2.0F, 1.9F, -1.0F};
  const std::vector<int32_t> tokens = {0, 1, 1};  // the prompt is {0}
  greedy.repetition_penalty = 2.0F;               // 1.0, 0.95, -1
  EXPECT_EQ(draw(logits, greedy, 0, tokens, 1).token, 0);
  EXPECT_EQ(draw({2.0F, 1.9F, 1.2F}, greedy, 0, tokens, 1).token, 2);
  greedy.repetition_penalty = 1.0F;
  greedy.presence_penalty = 0.5F;  // counts generated tokens alone: 2, 1.4
  EXPECT_EQ(draw({2.0F, 2.4F, -1.0F}, greedy, 0, tokens, 1).token, 0);
  greedy.presence_penalty = 0.0F;
  greedy.frequency_penalty = 0.15F;  // twice for token 1: 2.2 - 0.3
  EXPECT_EQ(draw({2.0F, 2.2F, -1.0F}, greedy, 0, tokens, 1).token, 0);
  EXPECT_EQ(draw({2.0F, 2.2F, -1.0F}, greedy, 0, {0, 1}, 1).token, 1);
}

TEST(Sampler, BiasBansAndMask) {
  SamplingParams params{.temperature = 0.0F, .logit_bias = {{2, 10.0F}, {99, 5.0F}, {-1, 5.0F}}};
  EXPECT_EQ(draw({3, 1, 0, 2}, params).token, 2);
  EXPECT_EQ(draw({3, 1, 0, 2}, params, 0, {}, 0, {2, 0}).token, 3);
  EXPECT_EQ(draw({3, 1, 0, 2}, params, 0, {}, 0, {}, {0b1010}).token, 3);
  params.temperature = 1.0F;
  for (uint32_t i = 0; i < 100; ++i) {
    EXPECT_EQ(draw({3, 1, 0, 2}, params, i, {}, 0, {0, 2, 3}).token, 1);
  }
}

TEST(Sampler, LogprobsAreOfTheUnmodifiedLogits) {
  SamplingParams params{.temperature = 0.0F, .logit_bias = {{0, 10.0F}}, .logprobs = 2};
  const SampledToken sampled = draw({std::log(0.2F), std::log(0.5F), std::log(0.3F)}, params);
  EXPECT_EQ(sampled.token, 0);
  EXPECT_NEAR(sampled.logprob, std::log(0.2F), 1e-6);
  ASSERT_EQ(sampled.top.size(), 2u);
  EXPECT_EQ(sampled.top[0].token, 1);
  EXPECT_NEAR(sampled.top[0].logprob, std::log(0.5F), 1e-6);
  EXPECT_EQ(sampled.top[1].token, 2);
  params.logprobs = 50;  // more than the vocabulary
  EXPECT_EQ(draw({1, 2, 3}, params).top.size(), 3u);
  params.logprobs = 0;
  EXPECT_TRUE(draw({1, 2, 3}, params).top.empty());
}

}  // namespace
}  // namespace octavo
