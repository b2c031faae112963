// What `octavo bench serve` asks a server: when, with which prompt, for how many tokens.
//
// Prompts are token ids, which every server understands alike; they are drawn, so that nobody has
// seen them before, and equal for equal seeds. Plain values and functions.
#pragma once

#include <cstdint>
#include <vector>

#include "octavo/result.h"
#include "simulate/workload.h"

namespace octavo::cli {

struct PlannedRequest {
  double at_s = 0;  // after the start; without meaning where users ask in turn
  std::vector<int32_t> prompt;
  int32_t output_tokens = 0;
};

struct SharedPrefixShape {
  int32_t requests = 32;
  int32_t shared_tokens = 256;  // with which all prompts begin
  int32_t own_tokens = 32;
  int32_t output_tokens = 64;
};

// Ids are drawn from the upper half of the vocabulary, where no special ones are.
std::vector<PlannedRequest> plan_shared_prefix(const SharedPrefixShape& shape, int32_t vocabulary,
                                               uint64_t seed);

// The requests of a trace as they came, `speed` times as fast. Prompts whose pieces are equal begin
// alike. Those longer than `context` with their output are left out.
std::vector<PlannedRequest> plan_trace(const simulate::Workload& workload, int32_t context,
                                       double speed, int32_t vocabulary, uint64_t seed);

// Gives the requests times of a Poisson process of `rate` a second.
void draw_times(std::vector<PlannedRequest>& requests, double rate, uint64_t seed);

}  // namespace octavo::cli
