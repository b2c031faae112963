// BeamSearch: which beams go on and which hypotheses are kept, from the log probabilities of each
// step.
//
// The search is that of Hugging Face transformers (GenerationMixin._beam_search), so that its users
// find the texts they know:
//   - a candidate is a live beam and a token; its sum is that of the log probabilities of all
//   tokens
//     that were generated;
//   - of the `width` best candidates, those that end (an end token, max_tokens) become hypotheses
//     with the score sum / length ^ length_penalty, where the length counts generated tokens, the
//     end token among them; the `width` best hypotheses are kept;
//   - the `width` best candidates that do not end are the next beams.
// Early stopping, once `width` hypotheses are kept: `yes` stops at once; `no` when the best beam
// would not enter them if it ended now; `never` when it could not enter them at any length.
// Equal sums: the earlier beam first, then the lower token. Sums are doubles over the sampler's
// float log probabilities.
//
// Pure: no model, no cache. Refers to the request's rules, which must outlive it. Holds at most
// width * max_tokens tokens with their log probabilities.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/output.h"
#include "octavo/engine.h"

namespace octavo {

class BeamSearch {
 public:
  struct Way {
    int32_t beam = 0;  // the live beam that goes on
    int32_t token = 0;
  };
  struct Hypothesis {
    std::vector<TokenInfo> tokens;  // generated ones, the end token among them
    double score = 0.0;
  };

  explicit BeamSearch(const OutputRules& rules);

  // One at the start.
  int32_t live() const { return static_cast<int32_t>(beams_.size()); }

  // tops[i]: the candidates_per_beam() most probable tokens after live beam i, best first. Returns
  // the next live beams, best first; beam i is the i-th of them from now on. None: it is over.
  std::span<const Way> advance(std::span<const std::vector<TokenLogprob>> tops);

  // The hypotheses kept, best first.
  std::vector<Hypothesis> hypotheses() const;

 private:
  // The generated tokens of all beams, a tree that grows at its leaves.
  struct Node {
    int32_t parent = -1;
    TokenInfo info;
  };
  struct Beam {
    int32_t node = -1;  // its last token
    double sum = 0.0;
  };
  struct Candidate {
    int32_t beam = 0;
    TokenLogprob next;
    double sum = 0.0;
  };
  struct Ending {
    int32_t node = -1;
    double score = 0.0;
  };

  std::vector<Candidate> candidates(std::span<const std::vector<TokenLogprob>> tops) const;
  int32_t add_node(const Candidate& candidate, const std::vector<TokenLogprob>& top);
  void keep(Ending ending);
  double score(double sum, int32_t length) const;
  bool can_improve() const;

  const OutputRules& rules_;
  const BeamParams params_;
  int32_t generated_ = 0;  // tokens of each live beam
  std::vector<Beam> beams_;
  std::vector<Way> ways_;
  std::vector<Node> nodes_;
  std::vector<Ending> endings_;  // best first
};

}  // namespace octavo
