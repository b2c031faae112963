#include "backend/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "backend/random.h"

namespace octavo {
namespace {

using Candidate = SamplerScratch::Candidate;

constexpr float kForbidden = -std::numeric_limits<float>::infinity();

struct LogSumExp {
  double maximum;
  double log_sum;  // log of the sum of exp(logit - maximum)
};

LogSumExp log_sum_exp(std::span<const float> logits) {
  const double maximum = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - maximum);
  return {maximum, std::log(sum)};
}

bool higher(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

void apply_penalties(std::vector<float>& logits, const SampleRow& row) {
  const SamplingParams& params = *row.params;
  if (!params.has_penalties()) return;
  // How often each token was generated; tokens of the prompt alone count zero.
  std::unordered_map<int32_t, int32_t> generated_count;
  for (size_t i = 0; i < row.tokens.size(); ++i) {
    int32_t& count = generated_count[row.tokens[i]];
    if (i >= static_cast<size_t>(row.prompt_length)) ++count;
  }
  for (const auto& [token, count] : generated_count) {
    float& logit = logits[static_cast<size_t>(token)];
    logit = logit > 0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
    if (count > 0) {
      logit -= static_cast<float>(count) * params.frequency_penalty + params.presence_penalty;
    }
  }
}

// The logits after bias, bans, the mask and penalties.
void adjust_logits(std::vector<float>& logits, const SampleRow& row,
                   std::span<const uint32_t> allowed) {
  const auto inside = [&logits](int32_t token) {
    return token >= 0 && static_cast<size_t>(token) < logits.size();
  };
  for (const TokenBias& entry : row.params->logit_bias) {
    if (inside(entry.token)) logits[static_cast<size_t>(entry.token)] += entry.bias;
  }
  apply_penalties(logits, row);
  for (const int32_t token : row.banned) {
    if (inside(token)) logits[static_cast<size_t>(token)] = kForbidden;
  }
  for (size_t token = 0; !allowed.empty() && token < logits.size(); ++token) {
    if ((allowed[token / 32] >> (token % 32) & 1) == 0) logits[token] = kForbidden;
  }
}

int32_t argmax(const std::vector<float>& logits) {
  size_t best = 0;
  for (size_t token = 1; token < logits.size(); ++token) {
    if (logits[token] > logits[best]) best = token;
  }
  return static_cast<int32_t>(best);
}

// Softmax with temperature over the candidates, in whatever order they are.
void set_probabilities(std::vector<Candidate>& candidates, float temperature) {
  float maximum = kForbidden;
  for (const Candidate& candidate : candidates) maximum = std::max(maximum, candidate.logit);
  double sum = 0.0;
  for (Candidate& candidate : candidates) {
    const double difference = static_cast<double>(candidate.logit) - static_cast<double>(maximum);
    candidate.probability = std::exp(difference / static_cast<double>(temperature));
    sum += candidate.probability;
  }
  for (Candidate& candidate : candidates) candidate.probability /= sum;
}

void renormalise(std::vector<Candidate>& candidates) {
  double sum = 0.0;
  for (const Candidate& candidate : candidates) sum += candidate.probability;
  for (Candidate& candidate : candidates) candidate.probability /= sum;
}

// Keeps the first candidates in the order of `before` that together hold `mass` of the probability.
// Sorts no more of them than that takes: a vocabulary is large and the nucleus mostly small.
template <class Before>
void keep_mass(std::vector<Candidate>& candidates, double mass, Before before) {
  double sum = 0.0;
  size_t sorted = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (i == sorted) {
      sorted = std::min(candidates.size(), std::max<size_t>(64, 4 * sorted));
      std::partial_sort(candidates.begin() + static_cast<int64_t>(i),
                        candidates.begin() + static_cast<int64_t>(sorted), candidates.end(),
                        before);
    }
    sum += candidates[i].probability;
    if (sum >= mass) {
      candidates.resize(i + 1);
      break;
    }
  }
  renormalise(candidates);
}

// Locally typical sampling: keeps the tokens whose surprise is nearest to the distribution's
// entropy.
void keep_typical(std::vector<Candidate>& candidates, double mass) {
  double entropy = 0.0;
  for (const Candidate& c : candidates) {
    if (c.probability > 0) entropy -= c.probability * std::log(c.probability);
  }
  const auto distance = [entropy](const Candidate& c) {
    return c.probability > 0 ? std::abs(-std::log(c.probability) - entropy)
                             : std::numeric_limits<double>::infinity();
  };
  keep_mass(candidates, mass, [&distance](const Candidate& a, const Candidate& b) {
    const double da = distance(a);
    const double db = distance(b);
    return da != db ? da < db : a.token < b.token;
  });
}

void keep_above(std::vector<Candidate>& candidates, double min_p) {
  double top = 0.0;
  for (const Candidate& c : candidates) top = std::max(top, c.probability);
  const auto too_small = [floor = top * min_p](const Candidate& c) {
    return c.probability < floor;
  };
  candidates.erase(std::remove_if(candidates.begin(), candidates.end(), too_small),
                   candidates.end());
  renormalise(candidates);
}

void filter(std::vector<Candidate>& candidates, const SamplingParams& params) {
  const auto keep = static_cast<size_t>(params.top_k);
  if (params.top_k > 0 && keep < candidates.size()) {
    std::partial_sort(candidates.begin(), candidates.begin() + params.top_k, candidates.end(),
                      higher);
    candidates.resize(keep);
    renormalise(candidates);
  }
  if (params.typical_p < 1.0F) keep_typical(candidates, static_cast<double>(params.typical_p));
  if (params.top_p < 1.0F) keep_mass(candidates, static_cast<double>(params.top_p), higher);
  if (params.min_p > 0.0F) keep_above(candidates, static_cast<double>(params.min_p));
}

int32_t draw(const std::vector<Candidate>& candidates, const SampleRow& row) {
  const double target = uniform_draw(row.seed, row.output_index, row.position, 0);
  double sum = 0.0;
  for (const Candidate& candidate : candidates) {
    sum += candidate.probability;
    if (target < sum) return candidate.token;
  }
  return candidates.back().token;  // rounding left the sum a hair below 1
}

int32_t choose(const SampleRow& row, SamplerScratch& scratch) {
  const SamplingParams& params = *row.params;
  if (params.temperature == 0.0F) return argmax(scratch.logits);

  std::vector<Candidate>& candidates = scratch.candidates;
  candidates.clear();
  for (size_t token = 0; token < scratch.logits.size(); ++token) {
    const float logit = scratch.logits[token];
    if (logit > kForbidden) candidates.push_back({static_cast<int32_t>(token), logit, 0.0});
  }
  if (candidates.empty()) return argmax(scratch.logits);
  set_probabilities(candidates, params.temperature);
  filter(candidates, params);
  return draw(candidates, row);
}

void add_logprobs(std::span<const float> logits, int32_t count, SampledToken& out) {
  const LogSumExp total = log_sum_exp(logits);
  const auto logprob = [&](int32_t token) {
    return static_cast<float>(static_cast<double>(logits[static_cast<size_t>(token)]) -
                              total.maximum - total.log_sum);
  };
  out.logprob = logprob(out.token);
  std::vector<int32_t> order(logits.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
  const auto wanted = std::min<size_t>(static_cast<size_t>(count), order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<int64_t>(wanted), order.end(),
                    [&](int32_t a, int32_t b) {
                      const float la = logits[static_cast<size_t>(a)];
                      const float lb = logits[static_cast<size_t>(b)];
                      return la != lb ? la > lb : a < b;
                    });
  for (size_t i = 0; i < wanted; ++i) out.top.push_back({order[i], logprob(order[i])});
}

}  // namespace

SampledToken sample_row(std::span<const float> logits, const SampleRow& row,
                        std::span<const uint32_t> allowed, SamplerScratch& scratch) {
  scratch.logits.assign(logits.begin(), logits.end());
  // A logit that is not a number (a damaged model) would break every comparison below.
  for (float& logit : scratch.logits) logit = std::isnan(logit) ? kForbidden : logit;
  const std::vector<float> unmodified =
      row.params->logprobs >= 0 ? scratch.logits : std::vector<float>();
  adjust_logits(scratch.logits, row, allowed);
  // Infinity (a damaged model, an enormous bias) would make the differences below not a number.
  for (float& logit : scratch.logits) logit = std::min(logit, std::numeric_limits<float>::max());
  SampledToken out;
  out.token = row.forced >= 0 ? row.forced : choose(row, scratch);
  if (row.params->logprobs >= 0) add_logprobs(unmodified, row.params->logprobs, out);
  return out;
}

}  // namespace octavo
