// Drawing tokens on the device, with the CPU's random numbers: arguments and launch.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace octavo::cuda {

inline constexpr int kMostBanned = 4;

// One token to be drawn, in device memory.
struct SampleRequest {
  double uniform;      // in [0, 1), from random.h
  float temperature;   // 0: the greatest logit
  float top_p;         // 1: off
  float min_p;         // 0: off
  int32_t top_k;       // 0: off
  int32_t logits_row;  // several requests may have the same
  int32_t place;       // of the token among the results
  int32_t banned_count;
  int32_t banned[kMostBanned];  // ids that cannot be drawn
  int32_t unused;
};

// out[place] = the token for a request, as backend/sampler.h draws it but for how sums are rounded:
// here weights are whole numbers of 2^-40 of the greatest, whose sums have no order. A logit that
// is not a number is minus infinity.
struct SampleArgs {
  int32_t* out;
  const float* logits;  // [.., vocabulary]
  const SampleRequest* requests;
  int64_t vocabulary;
  int64_t count;
};
void launch_sample(const SampleArgs& args, cudaStream_t stream);

// The same for requests with a temperature of 0, by more of the device.
struct GreedyArgs {
  int32_t* out;
  unsigned long long* best;  // [count], scratch
  const float* logits;
  const SampleRequest* requests;
  int64_t vocabulary;
  int64_t count;
};
void launch_greedy(const GreedyArgs& args, cudaStream_t stream);

}  // namespace octavo::cuda
