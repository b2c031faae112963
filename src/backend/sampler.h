// The reference sampler: one row of logits on the host, one token out.
//
// Follows the order documented in octavo/sampling.h. All sums run in a fixed order in double, so
// the result depends on the row and its parameters alone. Thread safety: a pure function; each
// thread brings its own scratch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/backend.h"

namespace octavo {

// Memory a thread reuses from row to row.
struct SamplerScratch {
  struct Candidate {
    int32_t token;
    float logit;
    double probability;
  };
  std::vector<float> logits;
  std::vector<Candidate> candidates;
};

// Draws from `logits` [vocabulary]. `allowed` is empty or has a bit per token. Rows in which
// nothing can be drawn (all forbidden or not a number) give the lowest id that is not forbidden, or
// 0.
SampledToken sample_row(std::span<const float> logits, const SampleRow& row,
                        std::span<const uint32_t> allowed, SamplerScratch& scratch);

}  // namespace octavo
