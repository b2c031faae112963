#include "engine/beam_search.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "base/check.h"

namespace octavo {
namespace {

bool contains(const std::vector<int32_t>& tokens, int32_t token) {
  return std::ranges::find(tokens, token) != tokens.end();
}

}  // namespace

BeamSearch::BeamSearch(const OutputRules& rules)
    : rules_(rules), params_(rules.beam.value()), beams_(1) {}

double BeamSearch::score(double sum, int32_t length) const {
  return sum / std::pow(length, static_cast<double>(params_.length_penalty));
}

// All that may follow, the best first. A token that may not be drawn has no part in it.
std::vector<BeamSearch::Candidate> BeamSearch::candidates(
    std::span<const std::vector<TokenLogprob>> tops) const {
  const std::vector<int32_t>& banned =
      generated_ < rules_.params.min_tokens ? rules_.banned_before : rules_.never_drawn;
  std::vector<Candidate> all;
  for (size_t i = 0; i < tops.size(); ++i) {
    for (const TokenLogprob& next : tops[i]) {
      const double sum = beams_[i].sum + static_cast<double>(next.logprob);
      if (!contains(banned, next.token)) all.push_back({static_cast<int32_t>(i), next, sum});
    }
  }
  std::ranges::sort(all, [](const Candidate& a, const Candidate& b) {
    return std::tuple(-a.sum, a.beam, a.next.token) < std::tuple(-b.sum, b.beam, b.next.token);
  });
  return all;
}

std::span<const BeamSearch::Way> BeamSearch::advance(
    std::span<const std::vector<TokenLogprob>> tops) {
  OCTAVO_CHECK(std::ssize(tops) == live(), "{} rows for {} beams", tops.size(), live());
  const auto width = static_cast<size_t>(params_.width);
  const std::vector<Candidate> all = candidates(tops);
  ++generated_;
  const bool at_limit = generated_ >= rules_.params.max_tokens;
  std::vector<Beam> next;
  ways_.clear();
  for (size_t rank = 0; rank < all.size() && next.size() < width; ++rank) {
    const Candidate& candidate = all[rank];
    const bool ends = at_limit || contains(rules_.end_tokens, candidate.next.token);
    if (ends && rank >= width) {
      if (at_limit) break;
      continue;
    }
    const int32_t node = add_node(candidate, tops[static_cast<size_t>(candidate.beam)]);
    if (ends) {
      keep({node, score(candidate.sum, generated_)});
    } else {
      next.push_back({node, candidate.sum});
      ways_.push_back({candidate.beam, candidate.next.token});
    }
  }
  beams_ = std::move(next);
  if (!can_improve()) {
    beams_.clear();
    ways_.clear();
  }
  return ways_;
}

int32_t BeamSearch::add_node(const Candidate& candidate, const std::vector<TokenLogprob>& top) {
  const auto shown = std::min(top.size(), static_cast<size_t>(std::max(rules_.shown_logprobs, 0)));
  nodes_.push_back({.parent = beams_[static_cast<size_t>(candidate.beam)].node,
                    .info = {.token = candidate.next.token,
                             .logprob = candidate.next.logprob,
                             .top = {top.begin(), top.begin() + static_cast<ptrdiff_t>(shown)}}});
  return static_cast<int32_t>(nodes_.size()) - 1;
}

void BeamSearch::keep(Ending ending) {
  const auto better = [](const Ending& a, const Ending& b) { return a.score > b.score; };
  endings_.insert(std::ranges::upper_bound(endings_, ending, better), ending);
  if (std::ssize(endings_) > params_.width) endings_.pop_back();
}

// Whether a live beam may still enter the hypotheses that are kept.
bool BeamSearch::can_improve() const {
  if (beams_.empty()) return false;
  if (std::ssize(endings_) < params_.width) return true;
  if (params_.early_stopping == EarlyStopping::yes) return false;
  // A sum only falls; with a positive penalty the longest text makes the best of it.
  const bool longest =
      params_.early_stopping == EarlyStopping::never && params_.length_penalty > 0.0F;
  const int32_t length = longest ? rules_.params.max_tokens : generated_;
  return score(beams_.front().sum, length) > endings_.back().score;
}

std::vector<BeamSearch::Hypothesis> BeamSearch::hypotheses() const {
  std::vector<Hypothesis> result;
  for (const Ending& ending : endings_) {
    Hypothesis hypothesis{.tokens = {}, .score = ending.score};
    for (int32_t node = ending.node; node >= 0; node = nodes_[static_cast<size_t>(node)].parent) {
      hypothesis.tokens.push_back(nodes_[static_cast<size_t>(node)].info);
    }
    std::ranges::reverse(hypothesis.tokens);
    result.push_back(std::move(hypothesis));
  }
  return result;
}

}  // namespace octavo
