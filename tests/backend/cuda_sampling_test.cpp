// Tokens drawn on a device against the CPU's sampler: the same logits, parameters and seeds give
// the same tokens. Without a GPU, the test says that it was skipped.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "backend/cuda/create_cuda_backend.h"
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
  row(3)[vocabulary / 2 + 7] = 100.0F;
  row(4)[vocabulary - 1] = INFINITY;
  return logits;
}

std::vector<SamplingParams> make_parameters() {
  std::vector<SamplingParams> all;
  for (const float temperature : {0.0F, 0.2F, 1.0F, 3.0F}) {
    for (const int32_t top_k : {0, 1, 40, 1000000}) {
      for (const float top_p : {1.0F, 0.9F, 0.05F}) {
        for (const float min_p : {0.0F, 0.02F}) {
          SamplingParams params;
          params.temperature = temperature;
          params.top_k = top_k;
          params.top_p = top_p;
          params.min_p = min_p;
          all.push_back(params);
        }
      }
    }
  }
  // What only the host does, beside the others in one step.
  all.emplace_back().logprobs = 2;
  all.emplace_back().typical_p = 0.5F;
  all.emplace_back().repetition_penalty = 1.3F;
  return all;
}

std::vector<SampleRow> make_rows(const std::vector<SamplingParams>& parameters,
                                 std::span<const int32_t> banned) {
  std::vector<SampleRow> rows;
  for (const SamplingParams& params : parameters) {
    for (int32_t row = 0; row < kRows; ++row) {
      const auto number = static_cast<uint32_t>(rows.size());
      rows.push_back({.logits_row = row,
                      .params = &params,
                      .seed = number * 77,
                      .output_index = number % 3,
                      .position = number});
      if (number % 2 == 0) rows.back().banned = banned;
    }
  }
  return rows;
}

Tensor bring(Backend& backend, const std::vector<float>& values, const Batch& batch) {
  WeightSource source;
  source.name = "logits";
  source.rows = batch.token_count();
  source.columns = static_cast<int64_t>(values.size()) / source.rows;
  source.data = reinterpret_cast<const std::byte*>(values.data());
  const auto table = backend.upload(source, WeightUse::table).value();
  const Tensor out = backend.scratch(source.rows, source.columns);
  backend.embed(out, *table, 1.0F, batch);
  std::vector<float> unused(values.size());
  backend.read(out, unused);  // the table ends here
  return out;
}

TEST(CudaSampling, DrawsTheCpusTokens) {
  if (device_count() == 0) GTEST_SKIP() << "no CUDA device";
  const auto backend = create_cuda_backend({.threads = 2}).value();
  std::mt19937 random(21);
  const std::vector<SamplingParams> parameters = make_parameters();
  for (const int64_t vocabulary : {7, 1500, 32001}) {
    const std::vector<float> logits = make_logits(std::max<int64_t>(vocabulary, 20), random);
    const auto columns = static_cast<int64_t>(logits.size()) / kRows;
    // The likeliest tokens of the first rows.
    const std::vector<int32_t> banned = {
        static_cast<int32_t>(std::max_element(logits.begin(), logits.begin() + columns) -
                             logits.begin()),
        static_cast<int32_t>(columns / 2)};
    const std::vector<SampleRow> rows = make_rows(parameters, banned);
    std::vector<int32_t> tokens(kRows);
    std::iota(tokens.begin(), tokens.end(), 0);
    SimpleBatch batch(tokens);
    backend->begin_step(batch.batch);
    const Tensor x = bring(*backend, logits, batch.batch);
    std::vector<SampledToken> found(rows.size());
    backend->sample(x, rows, {}, found);
    SamplerScratch scratch;
    for (size_t i = 0; i < rows.size(); ++i) {
      const std::span<const float> row(logits.data() + rows[i].logits_row * columns,
                                       static_cast<size_t>(columns));
      const SampledToken expected = sample_row(row, rows[i], {}, scratch);
      const SamplingParams& params = *rows[i].params;
      EXPECT_EQ(found[i].token, expected.token)
          << "vocabulary " << columns << ", row " << rows[i].logits_row << ", temperature "
          << params.temperature << ", top_k " << params.top_k << ", top_p " << params.top_p
          << ", min_p " << params.min_p << ", " << rows[i].banned.size() << " banned";
      // Of a row that is all minus infinity it is not a number.
      EXPECT_TRUE(found[i].logprob == expected.logprob ||
                  (std::isnan(found[i].logprob) && std::isnan(expected.logprob)));
    }
  }
}

}  // namespace
}  // namespace octavo::cuda
