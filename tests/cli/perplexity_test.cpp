#include "cli/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/engine_run.h"

namespace octavo::cli {
namespace {

std::unique_ptr<Engine> tiny_engine() {
  EngineConfig config;
  config.model_path = golden_model("llama");
  config.threads = 2;
  return make_engine(config);
}

std::string text_of(int32_t words) {
  std::string text;
  for (int32_t i = 0; i < words; ++i) text += "word " + std::to_string(i * i) + " ";
  return text;
}

Result<Perplexity> measure(Engine& engine, const std::string& text, int64_t chunk) {
  return measure_perplexity(engine, text, chunk, [](int64_t, int64_t) {});
}

// The method written out again: one chunk after the other, one list of scores.
TEST(Perplexity, FollowsTheMethod) {
  auto engine = tiny_engine();
  ASSERT_TRUE(engine->model().adds_bos);
  const std::string text = text_of(60);
  const std::vector<int32_t> tokens = *engine->tokenize(text, {});
  constexpr size_t kChunk = 33;
  std::vector<double> scores;
  for (size_t start = 0; start + kChunk <= tokens.size(); start += kChunk) {
    Request request;
    const auto first = tokens.begin() + static_cast<std::ptrdiff_t>(start);
    request.prompt.assign(first, first + kChunk);
    request.prompt[0] = engine->model().bos;
    request.score_prompt = true;
    const std::vector<float> logprobs = run_to_end(*engine, request).at(0).logprobs;
    ASSERT_EQ(logprobs.size(), kChunk - 1);
    for (size_t position = kChunk / 2; position <= kChunk - 2; ++position) {
      scores.push_back(-static_cast<double>(logprobs[position]));
    }
  }
  double mean = 0;
  for (const double score : scores) mean += score / static_cast<double>(scores.size());
  double variance = 0;
  for (const double score : scores) {
    variance += (score - mean) * (score - mean) / static_cast<double>(scores.size() - 1);
  }

  int64_t calls = 0;
  const Result<Perplexity> measured =
      measure_perplexity(*engine, text + "\n", kChunk, [&calls](int64_t done, int64_t chunks) {
        EXPECT_EQ(done, ++calls);
        EXPECT_LE(done, chunks);
      });
  ASSERT_TRUE(measured.ok()) << measured.error().message;
  EXPECT_GT(measured->chunks, 8);  // more than are handed in at once
  EXPECT_EQ(measured->chunks, calls);
  EXPECT_EQ(measured->chunks, static_cast<int64_t>(tokens.size() / kChunk));
  EXPECT_EQ(measured->text_tokens, static_cast<int64_t>(tokens.size()));
  EXPECT_EQ(measured->scored_tokens, static_cast<int64_t>(scores.size()));
  EXPECT_NEAR(measured->value, std::exp(mean), 1e-9 * std::exp(mean));
  EXPECT_NEAR(measured->standard_error,
              std::exp(mean) * std::sqrt(variance / static_cast<double>(scores.size())), 1e-6);
  EXPECT_EQ(measured->of_each_chunk.size(), static_cast<size_t>(measured->chunks));
}

TEST(Perplexity, RefusesWhatCannotBeMeasured) {
  auto engine = tiny_engine();
  EXPECT_EQ(measure(*engine, text_of(60), 7).error().message,
            "chunk: 7 is not between 8 and the context of 2048 tokens");
  EXPECT_EQ(measure(*engine, text_of(60), 2049).error().message,
            "chunk: 2049 is not between 8 and the context of 2048 tokens");
  const Result<Perplexity> few = measure(*engine, "a", 512);
  ASSERT_FALSE(few.ok());
  EXPECT_NE(few.error().message.find("fewer than one chunk of 512"), std::string::npos);
}

}  // namespace
}  // namespace octavo::cli
