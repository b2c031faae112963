// Machine: what every policy gets alike. How much memory, how large a token is in it, how many
// tokens a step takes, and how long a step lasts.
//
// Plain values. There is no clock: time is what StepTime says.
#pragma once

#include <cstdint>
#include <vector>

#include "base/check.h"
#include "kv/group.h"

namespace octavo::simulate {

// A step lasts as long as it takes to read the weights once, to compute its tokens, to read the
// keys and values that they attend to, and to move others to the host's memory or from it. The
// default is OPT-13B in f16 on one A100 of 40 GB: 26 GB of weights and 800 KiB per cached token
// at 1.5 TB/s, 26 GFLOP per token at half of 312 TFLOP/s, and 24 GB/s between device and host.
struct StepTime {
  double weights_ms = 17;
  double token_us = 170;
  double kv_token_ns = 550;
  double host_token_us = 34;

  double seconds(int64_t tokens, int64_t kv_tokens, int64_t moved_tokens = 0) const {
    return weights_ms * 1e-3 + static_cast<double>(tokens) * token_us * 1e-6 +
           static_cast<double>(kv_tokens) * kv_token_ns * 1e-9 +
           static_cast<double>(moved_tokens) * host_token_us * 1e-6;
  }
};

struct Machine {
  std::vector<GroupSpec> groups = {GroupSpec{}};
  int64_t group_token_bytes = 0;  // of K and V of all layers of one KV group
  int64_t memory_bytes = 0;       // for K and V
  int64_t host_memory_bytes = 0;  // for those that leave it; 0: they are lost
  int32_t context_length = 0;     // prompt and output of one sequence
  int32_t batch_tokens = 0;       // computed in one step
  int32_t max_sequences = 0;      // that run at once
  StepTime step_time;

  int64_t token_bytes() const { return group_token_bytes * static_cast<int64_t>(groups.size()); }
  // Tokens of all layers that the memory holds.
  int64_t slots() const {
    OCTAVO_CHECK(token_bytes() > 0);
    return memory_bytes / token_bytes();
  }
};

}  // namespace octavo::simulate
