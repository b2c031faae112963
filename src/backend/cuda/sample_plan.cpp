#include "backend/cuda/sample_plan.h"

#include <algorithm>
#include <limits>

#include "backend/backend.h"
#include "backend/random.h"
#include "base/check.h"

namespace octavo::cuda {
namespace {

SampleRequest request_for(const SampleRow& row, size_t place) {
  const SamplingParams& params = *row.params;
  return {.uniform = uniform_draw(row.seed, row.output_index, row.position, 0),
          .temperature = params.temperature,
          .top_p = params.top_p,
          .min_p = params.min_p,
          .typical_p = params.typical_p,
          .top_k = params.top_k,
          .row = row.logits_row,
          .place = static_cast<int32_t>(place),
          .forced = row.forced};
}

}  // namespace

void SamplePlan::clear() {
  requests.clear();
  drawn = 0;
  forced = 0;
  is_greedy = true;
  adjusts.clear();
  edits.clear();
  copies = 0;
  has_sweeps = false;
  logprobs.clear();
  tops = 0;
}

bool SamplePlan::is_uniform() const {
  const auto all_or_none = [this](int64_t count) {
    return count == 0 || count == std::ssize(requests);
  };
  return all_or_none(forced) && all_or_none(std::ssize(adjusts)) && all_or_none(copies) &&
         all_or_none(std::ssize(logprobs)) &&
         (logprobs.empty() || tops == std::ssize(logprobs) * logprobs.front().top);
}

const SamplePlan& SamplePlanner::plan(int64_t logits_rows, int64_t vocabulary,
                                      std::span<const SampleRow> rows, bool is_masked) {
  vocabulary_ = vocabulary;
  readers_.assign(static_cast<size_t>(logits_rows), 0);
  for (const SampleRow& row : rows) {
    OCTAVO_CHECK(row.logits_row >= 0 && row.logits_row < logits_rows, "row {} of {}",
                 row.logits_row, logits_rows);
    OCTAVO_CHECK(row.forced < vocabulary_, "token {} of {}", row.forced, vocabulary_);
    int32_t& readers = readers_[static_cast<size_t>(row.logits_row)];
    if (row.forced < 0) ++readers;
    if (row.params->logprobs >= 0) ++readers;
  }
  plan_.clear();
  forced_.clear();
  const int64_t words = (vocabulary_ + 31) / 32;
  OCTAVO_CHECK(!is_masked || std::ssize(rows) * words <= std::numeric_limits<int32_t>::max());
  for (size_t i = 0; i < rows.size(); ++i) {
    const SampleRow& row = rows[i];
    SampleRequest request = request_for(row, i);
    if (row.forced >= 0) {
      forced_.push_back(request);
    } else {
      const auto mask = is_masked ? static_cast<int32_t>(static_cast<int64_t>(i) * words) : -1;
      adjust(row, mask, request);
      plan_.requests.push_back(request);
      plan_.is_greedy = plan_.is_greedy && request.temperature == 0.0F;
    }
    if (row.params->logprobs >= 0) {
      const auto top = static_cast<int32_t>(std::min<int64_t>(row.params->logprobs, vocabulary_));
      plan_.logprobs.push_back(
          {row.logits_row, request.place, top, static_cast<int32_t>(plan_.tops)});
      plan_.tops += top;
      OCTAVO_CHECK(plan_.tops <= std::numeric_limits<int32_t>::max());
    }
  }
  plan_.drawn = std::ssize(plan_.requests);
  plan_.forced = std::ssize(forced_);
  plan_.requests.insert(plan_.requests.end(), forced_.begin(), forced_.end());
  return plan_;
}

// Notes what is to be changed in the row's logits, if anything, and lets the request read that.
void SamplePlanner::adjust(const SampleRow& row, int32_t mask, SampleRequest& request) {
  const auto first = static_cast<int32_t>(plan_.edits.size());
  AdjustRequest adjusted = {.from = row.logits_row,
                            .to = row.logits_row,
                            .mask = mask,
                            .first_edit = first,
                            .additions = 0,
                            .seen = 0,
                            .pending = -1,
                            .repetition = row.params->repetition_penalty,
                            .frequency = row.params->frequency_penalty,
                            .presence = row.params->presence_penalty};
  add_additions(row);
  adjusted.additions = static_cast<int32_t>(plan_.edits.size()) - first;
  if (row.params->has_penalties() && !row.tokens.empty()) {
    add_seen(row);
    adjusted.seen = static_cast<int32_t>(plan_.edits.size()) - first - adjusted.additions;
    if (row.tokens.back() < 0) adjusted.pending = ~row.tokens.back();
  }
  OCTAVO_CHECK(plan_.edits.size() <= std::numeric_limits<int32_t>::max());
  if (mask < 0 && adjusted.additions + adjusted.seen == 0 && adjusted.pending < 0) return;
  if (readers_[static_cast<size_t>(row.logits_row)] > 1) {
    adjusted.to = ~static_cast<int32_t>(plan_.copies++);
  }
  plan_.has_sweeps = plan_.has_sweeps || mask >= 0 || adjusted.to != adjusted.from;
  request.row = adjusted.to;
  plan_.adjusts.push_back(adjusted);
}

// Biases and bans. Those of one token stay in their order: sums are rounded.
void SamplePlanner::add_additions(const SampleRow& row) {
  const auto first = std::ssize(plan_.edits);
  const auto add = [&](int32_t token, float value) {
    if (token >= 0 && token < vocabulary_) plan_.edits.push_back({token, value});
  };
  for (const TokenBias& entry : row.params->logit_bias) add(entry.token, entry.bias);
  for (const int32_t token : row.banned) add(token, -std::numeric_limits<float>::infinity());
  std::stable_sort(plan_.edits.begin() + first, plan_.edits.end(),
                   [](const SampleEdit& a, const SampleEdit& b) { return a.token < b.token; });
}

// The tokens that the penalties change, with how often they were generated.
void SamplePlanner::add_seen(const SampleRow& row) {
  counts_.resize(std::max(counts_.size(), static_cast<size_t>(vocabulary_)));
  const auto prompt_length = static_cast<size_t>(row.prompt_length);
  // Tokens of the prompt alone matter to the repetition penalty alone.
  const size_t begin = row.params->repetition_penalty == 1.0F ? prompt_length : 0;
  const size_t end = row.tokens.size() - (row.tokens.back() < 0 ? 1 : 0);
  const auto first = plan_.edits.size();
  for (size_t i = begin; i < end; ++i) {
    const int32_t token = row.tokens[i];
    OCTAVO_CHECK(token >= 0 && token < vocabulary_, "token {} of {}", token, vocabulary_);
    int32_t& count = counts_[static_cast<size_t>(token)];
    if (count == 0) {
      plan_.edits.push_back({token, 0.0F});
      count = 1;
    }
    if (i >= prompt_length) ++count;
  }
  for (size_t i = first; i < plan_.edits.size(); ++i) {
    int32_t& count = counts_[static_cast<size_t>(plan_.edits[i].token)];
    plan_.edits[i].value = static_cast<float>(count - 1);
    count = 0;
  }
}

}  // namespace octavo::cuda
