// Tokens drawn on a device against the CPU's sampler: the same logits, parameters and seeds give
// the same tokens and log probabilities. Without a GPU, the tests say that they were skipped.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>

#include "backend/cuda/create_cuda_backend.h"
#include "backend/cuda_test_tools.h"
#include "backend/random_values.h"
#include "backend/sampler.h"
#include "backend/simple_batch.h"

namespace octavo::cuda {
namespace {

constexpr int64_t kRows = 6;

// Rows of logits: spread, with many equal ones, flat, one far above all, not numbers, nothing
// allowed.
std::vector<float> make_logits(int64_t vocabulary, std::mt19937& random) {
  std::vector<float> logits = random_values(random, static_cast<size_t>(kRows * vocabulary), 8.0F);
  const auto row = [&](int64_t index) { return logits.data() + index * vocabulary; };
  for (int64_t i = 0; i < vocabulary; ++i) {
    row(1)[i] = std::round(row(1)[i]);
    row(2)[i] *= 1e-3F;
    if (i % 3 == 0) row(4)[i] = std::nanf("");
    row(5)[i] = -INFINITY;
  }
  row(3)[vocabulary / 2] = 100.0F;
  row(3)[std::min(vocabulary / 2 + 7, vocabulary - 1)] = 100.0F;
  row(4)[vocabulary - 1] = INFINITY;
  return logits;
}

// A step's draws, with what their spans show.
struct Draws {
  std::vector<SampleRow> rows;
  std::vector<uint32_t> allowed;
  std::deque<SamplingParams> params;
  std::deque<std::vector<int32_t>> lists;
  size_t mask_words = 0;

  SampleRow& add(int32_t logits_row, const SamplingParams& own) {
    const auto number = static_cast<uint32_t>(rows.size());
    rows.push_back({.logits_row = logits_row,
                    .params = &params.emplace_back(own),
                    .seed = number * 77,
                    .output_index = number % 3,
                    .position = number});
    return rows.back();
  }
  std::span<const uint32_t> mask(size_t row) const {
    const std::span<const uint32_t> all = allowed;
    return all.empty() ? all : all.subspan(row * mask_words, mask_words);
  }
};

// Every filter with every other, at several temperatures; each second one with bans.
Draws all_filters(std::vector<int32_t> banned) {
  Draws draws;
  draws.lists.push_back(std::move(banned));
  for (const float temperature : {0.0F, 0.2F, 1.0F, 3.0F}) {
    for (const int32_t top_k : {0, 1, 40, 1000000}) {
      for (const float top_p : {1.0F, 0.9F, 0.05F}) {
        for (const float min_p : {0.0F, 0.02F}) {
          for (const float typical_p : {1.0F, 0.7F}) {
            for (int32_t row = 0; row < kRows; ++row) {
              if (!is_taken()) continue;
              SampleRow& draw = draws.add(row, {.temperature = temperature,
                                                .top_k = top_k,
                                                .top_p = top_p,
                                                .min_p = min_p,
                                                .typical_p = typical_p});
              if (draws.rows.size() % 2 == 0) draw.banned = draws.lists.back();
            }
          }
        }
      }
    }
  }
  return draws;
}

class RandomDraws {
 public:
  RandomDraws(std::mt19937& random, int64_t vocabulary)
      : random_(random), vocabulary_(static_cast<int32_t>(vocabulary)) {}

  Draws make(int count) {
    Draws draws;
    for (int i = 0; i < count; ++i) {
      SampleRow& row = draws.add(random_int(random_, 0, kRows - 1), params());
      draws.lists.push_back(tokens(random_int(random_, 0, 300)));
      row.tokens = draws.lists.back();
      row.prompt_length = random_int(random_, 0, static_cast<int>(row.tokens.size()));
      if (one_in(4)) row.banned = draws.lists.emplace_back(tokens(random_int(random_, 1, 20)));
      if (one_in(10)) row.forced = token();
    }
    if (one_in(2)) add_masks(draws);
    return draws;
  }

 private:
  bool one_in(int count) { return random_int(random_, 1, count) == 1; }
  float number(float least, float most) {
    return std::uniform_real_distribution<float>(least, most)(random_);
  }
  int32_t token() { return random_int(random_, 0, vocabulary_ - 1); }
  // Some of them often.
  std::vector<int32_t> tokens(int count) {
    std::vector<int32_t> made(static_cast<size_t>(count));
    for (int32_t& id : made) id = one_in(3) ? std::min(3, vocabulary_ - 1) : token();
    return made;
  }
  SamplingParams params() {
    SamplingParams made;
    made.temperature = one_in(4) ? 0.0F : number(0.1F, 3.0F);
    if (one_in(3)) made.top_k = one_in(2) ? random_int(random_, 1, 60) : token() + 1;
    if (one_in(3)) made.top_p = number(0.01F, 1.0F);
    if (one_in(4)) made.min_p = number(0.0F, 0.3F);
    if (one_in(3)) made.typical_p = number(0.05F, 1.0F);
    if (one_in(3)) made.repetition_penalty = number(0.5F, 2.0F);
    if (one_in(3)) made.frequency_penalty = number(-2.0F, 2.0F);
    if (one_in(3)) made.presence_penalty = number(-2.0F, 2.0F);
    if (one_in(3)) {
      for (const int32_t id : tokens(random_int(random_, 1, 50))) {
        made.logit_bias.push_back({id, number(-20.0F, 20.0F)});
      }
    }
    if (one_in(3)) made.logprobs = random_int(random_, 0, one_in(4) ? 2000 : 100);
    return made;
  }
  // Of each kind: everything, half, a token here and there, nothing.
  void add_masks(Draws& draws) {
    draws.mask_words = (static_cast<size_t>(vocabulary_) + 31) / 32;
    for (size_t row = 0; row < draws.rows.size(); ++row) {
      const int kind = random_int(random_, 0, 3);
      for (size_t i = 0; i < draws.mask_words; ++i) {
        const auto word = static_cast<uint32_t>(random_());
        const uint32_t few = random_() % 50 == 0 ? word & (word >> 16) : 0;
        draws.allowed.push_back(kind == 0 ? 0xFFFFFFFFU : kind == 1 ? word : kind == 2 ? few : 0);
      }
    }
  }

  std::mt19937& random_;
  int32_t vocabulary_;
};

// On the device, in a step of its own.
std::vector<SampledToken> draw(Backend& backend, const std::vector<float>& logits,
                               std::span<const SampleRow> rows, std::span<const uint32_t> allowed) {
  std::vector<int32_t> tokens(kRows);
  std::iota(tokens.begin(), tokens.end(), 0);
  SimpleBatch batch(tokens);
  backend.begin_step(batch.batch);
  const Tensor x = bring(backend, logits, batch.batch);
  std::vector<SampledToken> drawn(rows.size());
  backend.sample(x, rows, allowed);
  backend.collect(drawn);
  return drawn;
}

// Whether the CPU draws `token` when a parameter differs by a millionth: then a sum was so close to
// a limit that its rounding decided.
bool is_close_call(std::span<const float> logits, SampleRow row, std::span<const uint32_t> mask,
                   int32_t token) {
  const SamplingParams params = *row.params;
  SamplerScratch scratch;
  for (const float step : {-0x1p-20F, -0x1p-22F, 0.0F, 0x1p-22F, 0x1p-20F}) {
    for (const float other : {-0x1p-20F, 0.0F, 0x1p-20F}) {
      SamplingParams near = params;
      near.logprobs = -1;
      near.temperature *= 1.0F + other;
      near.min_p *= 1.0F + step;
      if (params.top_p < 1.0F) near.top_p *= 1.0F + step;
      if (params.typical_p < 1.0F) near.typical_p *= 1.0F + step;
      row.params = &near;
      if (sample_row(logits, row, mask, scratch).token == token) return true;
    }
  }
  return false;
}

// Equal, or neighbours: the CPU adds in another order.
bool is_nearly(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) || a == b || std::nextafter(a, b) == b;
}

void expect_same_logprobs(const SampledToken& found, const SampledToken& expected) {
  EXPECT_TRUE(is_nearly(found.logprob, expected.logprob))
      << found.logprob << ", not " << expected.logprob;
  ASSERT_EQ(found.top.size(), expected.top.size());
  for (size_t i = 0; i < found.top.size(); ++i) {
    EXPECT_EQ(found.top[i].token, expected.top[i].token) << i;
    EXPECT_TRUE(is_nearly(found.top[i].logprob, expected.top[i].logprob)) << i;
  }
}

// What rounding decided is counted.
void expect_the_cpus(const std::vector<float>& logits, const Draws& draws,
                     const std::vector<SampledToken>& found, int& close_calls) {
  const size_t columns = logits.size() / kRows;
  SamplerScratch scratch;
  for (size_t i = 0; i < draws.rows.size(); ++i) {
    const SampleRow& row = draws.rows[i];
    const std::span<const float> own(logits.data() + static_cast<size_t>(row.logits_row) * columns,
                                     columns);
    SampledToken expected = sample_row(own, row, draws.mask(i), scratch);
    const SamplingParams& params = *row.params;
    SCOPED_TRACE(fmt::format(
        "vocabulary {}, row {}, temperature {}, top_k {}, top_p {}, min_p {}, typical_p {}, "
        "penalties {} {} {}, {} biases, {} banned, {} words of mask",
        columns, row.logits_row, params.temperature, params.top_k, params.top_p, params.min_p,
        params.typical_p, params.repetition_penalty, params.frequency_penalty,
        params.presence_penalty, params.logit_bias.size(), row.banned.size(),
        draws.mask(i).size()));
    if (found[i].token != expected.token) {
      EXPECT_TRUE(is_close_call(own, row, draws.mask(i), found[i].token))
          << found[i].token << ", not " << expected.token;
      ++close_calls;
      SampleRow forced = row;
      forced.forced = found[i].token;
      expected = sample_row(own, forced, draws.mask(i), scratch);
    }
    expect_same_logprobs(found[i], expected);
  }
}

TEST(CudaSampling, DrawsTheCpusTokens) {
  if (device_count() == 0) GTEST_SKIP() << "no CUDA device";
  const auto backend = create_cuda_backend({.threads = 2}).value();
  std::mt19937 random(21);
  int close_calls = 0;
  for (const int64_t vocabulary : {20, 1500, 32001}) {
    const std::vector<float> logits = make_logits(vocabulary, random);
    // The likeliest tokens of the first rows.
    const Draws draws = all_filters(
        {static_cast<int32_t>(std::max_element(logits.begin(), logits.begin() + vocabulary) -
                              logits.begin()),
         static_cast<int32_t>(vocabulary / 2)});
    expect_the_cpus(logits, draws, draw(*backend, logits, draws.rows, {}), close_calls);
  }
  EXPECT_LE(close_calls, 5);
}

TEST(CudaSampling, DrawsTheCpusTokensWithAnyParameters) {
  if (device_count() == 0) GTEST_SKIP() << "no CUDA device";
  const auto backend = create_cuda_backend({.threads = 2}).value();
  std::mt19937 random(22);
  int close_calls = 0;
  struct Size {
    int64_t vocabulary;
    int steps;
    int rows;
  };
  for (const Size& size : {Size{1, 4, 20}, Size{7, 20, 40}, Size{33, 20, 60}, Size{1500, 20, 60},
                           Size{32000, 3, 60}, Size{128256, 2, 40}, Size{262147, 2, 20}}) {
    RandomDraws make(random, size.vocabulary);
    for (int step = 0; step < size.steps; ++step) {
      if (!is_taken()) continue;
      const std::vector<float> logits = make_logits(size.vocabulary, random);
      const Draws draws = make.make(size.rows);
      expect_the_cpus(logits, draws, draw(*backend, logits, draws.rows, draws.allowed),
                      close_calls);
    }
  }
  EXPECT_LE(close_calls, 15);
}

// Bit for bit, whoever else is in the step.
TEST(CudaSampling, ARowDependsOnNoOther) {
  if (device_count() == 0) GTEST_SKIP() << "no CUDA device";
  const auto backend = create_cuda_backend({.threads = 2}).value();
  std::mt19937 random(23);
  for (const int64_t vocabulary : {100, 5000}) {
    const std::vector<float> logits = make_logits(vocabulary, random);
    const Draws draws = RandomDraws(random, vocabulary).make(40);
    const std::vector<SampledToken> all = draw(*backend, logits, draws.rows, draws.allowed);
    for (size_t i = 0; i < draws.rows.size(); ++i) {
      if (!is_taken()) continue;
      const SampledToken alone =
          draw(*backend, logits, std::span(draws.rows).subspan(i, 1), draws.mask(i))[0];
      EXPECT_EQ(alone.token, all[i].token);
      EXPECT_TRUE(same_bits({&alone.logprob, 1}, {&all[i].logprob, 1}));
      ASSERT_EQ(alone.top.size(), all[i].top.size());
      for (size_t k = 0; k < alone.top.size(); ++k) {
        EXPECT_EQ(alone.top[k].token, all[i].top[k].token);
        EXPECT_TRUE(same_bits({&alone.top[k].logprob, 1}, {&all[i].top[k].logprob, 1}));
      }
    }
  }
}

// A token that the device drew before, and the host does not know yet, has its penalties.
TEST(CudaSampling, PenalisesATokenThatIsNotKnownYet) {
  if (device_count() == 0) GTEST_SKIP() << "no CUDA device";
  const auto backend = create_cuda_backend({.threads = 2}).value();
  std::mt19937 random(24);
  for (int trial = 0; trial < 20; ++trial) {
    constexpr int64_t kVocabulary = 9;
    const std::vector<float> logits = make_logits(kVocabulary, random);
    Draws draws;
    for (int32_t row = 0; row < 3; ++row) {
      draws.add(row, {.temperature = 0.0F,
                      .repetition_penalty = trial % 2 == 0 ? 1.0F : 3.0F,
                      .frequency_penalty = 2.0F,
                      .presence_penalty = 0.5F});
    }
    const std::vector<SampledToken> first = draw(*backend, logits, draws.rows, {});
    std::vector<std::vector<int32_t>> known;
    std::vector<std::vector<int32_t>> unknown;
    for (int32_t row = 0; row < 3; ++row) {
      std::vector<int32_t> tokens(static_cast<size_t>(random_int(random, 0, 8)));
      for (int32_t& token : tokens) token = random_int(random, 0, kVocabulary - 1);
      tokens.push_back(~row);
      unknown.push_back(tokens);
      tokens.back() = first[static_cast<size_t>(row)].token;
      known.push_back(tokens);
    }
    for (size_t row = 0; row < 3; ++row) draws.rows[row].tokens = unknown[row];
    const std::vector<SampledToken> found = draw(*backend, logits, draws.rows, {});
    for (size_t row = 0; row < 3; ++row) draws.rows[row].tokens = known[row];
    int close_calls = 0;
    expect_the_cpus(logits, draws, found, close_calls);
    EXPECT_EQ(close_calls, 0);
  }
}

// However many rows of a step have penalties or log probabilities, its other operations are a list
// that comes again.
TEST(CudaSampling, DrawsOfManyKindsDoNotKeepAStepFromBeingReplayed) {
  if (device_count() == 0) GTEST_SKIP() << "no CUDA device";
  const auto backend = create_cuda_backend({.threads = 2}).value();
  std::mt19937 random(26);
  constexpr int64_t kVocabulary = 50;
  constexpr int kSteps = 30;
  const std::vector<float> logits = make_logits(kVocabulary, random);
  const auto table =
      upload(*backend, DType::f32, kRows, kVocabulary, logits.data(), WeightUse::table);
  std::vector<int32_t> tokens(kRows);
  std::iota(tokens.begin(), tokens.end(), 0);
  const SimpleBatch batch(tokens);
  RandomDraws make(random, kVocabulary);
  int close_calls = 0;
  for (int step = 0; step < kSteps; ++step) {
    const Draws draws = make.make(12);
    backend->begin_step(batch.batch);
    const Tensor x = backend->scratch(kRows, kVocabulary);
    backend->embed(x, *table, 1.0F, batch.batch);
    backend->sample(x, draws.rows, draws.allowed);
    std::vector<SampledToken> drawn(draws.rows.size());
    backend->collect(drawn);
    expect_the_cpus(logits, draws, drawn, close_calls);
  }
  EXPECT_LE(close_calls, 5);
  EXPECT_EQ(replayed_steps(*backend), kSteps - 1);
}

// A step is begun, and names what the last one drew, before anybody has asked for that.
TEST(CudaSampling, DrawsAreCollectedLater) {
  if (device_count() == 0) GTEST_SKIP() << "no CUDA device";
  const auto backend = create_cuda_backend({.threads = 2}).value();
  std::mt19937 random(25);
  constexpr int64_t kVocabulary = kRows;  // what is drawn names a row of the table
  std::vector<float> logits = random_values(random, kRows * kVocabulary, 8.0F);
  WeightSource source{.name = "table", .rows = kRows, .columns = kVocabulary};
  source.data = reinterpret_cast<const std::byte*>(logits.data());
  const auto table = backend->upload(source, WeightUse::table).value();
  Draws draws;
  SamplingParams params;
  params.frequency_penalty = 2.0F;
  params.logprobs = 2;
  std::vector<int32_t> all(kRows);
  std::iota(all.begin(), all.end(), 0);
  for (const int32_t row : all) draws.add(row, params);
  const auto row_of = [&](int32_t token) {
    return std::span(logits).subspan(static_cast<size_t>(token * kVocabulary), kVocabulary);
  };

  constexpr int kSteps = 40;
  std::vector<SampledToken> expected;  // of the step before
  SamplerScratch scratch;
  for (int step = 0; step < kSteps; ++step) {
    // Row r goes on with what the row after it drew, and counts that as a token of its own.
    std::vector<int32_t> tokens = all;
    std::vector<std::vector<int32_t>> texts;
    for (size_t r = 0; step > 0 && r < kRows; ++r) {
      tokens[r] = ~static_cast<int32_t>((r + 1) % kRows);
      texts.push_back({tokens[r]});
      draws.rows[r].tokens = texts[r];
      draws.rows[r].position = static_cast<uint32_t>(step);
    }
    const SimpleBatch batch(tokens);
    backend->begin_step(batch.batch);
    const Tensor x = backend->scratch(kRows, kVocabulary);
    backend->embed(x, *table, 1.0F, batch.batch);
    backend->sample(x, draws.rows, {});
    if (step > 0) {
      std::vector<SampledToken> drawn(kRows);
      backend->collect(drawn);
      for (size_t r = 0; r < kRows; ++r) EXPECT_EQ(drawn[r].token, expected[r].token) << step;
    }
    std::vector<SampledToken> next(kRows);
    for (size_t r = 0; r < kRows; ++r) {
      SampleRow row = draws.rows[r];
      const int32_t own = step > 0 ? expected[(r + 1) % kRows].token : static_cast<int32_t>(r);
      const std::vector<int32_t> text = {own};
      if (step > 0) row.tokens = text;
      next[r] = sample_row(row_of(own), row, {}, scratch);
    }
    expected = next;
  }
  std::vector<SampledToken> drawn(kRows);
  backend->collect(drawn);
  for (size_t r = 0; r < kRows; ++r) {
    EXPECT_EQ(drawn[r].token, expected[r].token);
    EXPECT_EQ(drawn[r].top.size(), 2U);
  }
}

}  // namespace
}  // namespace octavo::cuda
