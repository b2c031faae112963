// Drawing tokens on the device, with the CPU's random numbers: arguments and launch.
//
// The steps of backend/sampler.h, with its results but for how sums are rounded. Rows are numbered
// as in sample_plan.h. A logit that is not a number is minus infinity.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "backend/cuda/sample_plan.h"

namespace octavo::cuda {

// Makes the rows that are to be adjusted.
struct AdjustArgs {
  float* logits;          // [.., vocabulary]
  float* adjusted;        // [.., vocabulary]
  const int32_t* tokens;  // of the previous draw
  const AdjustRequest* requests;
  const SampleEdit* edits;
  const uint32_t* masks;
  int64_t vocabulary;
  int64_t count;
  int64_t has_sweeps;
};
void launch_adjust(const AdjustArgs& args, cudaStream_t stream);

// out[place] = the token for a request, where weights are whole numbers of 2^-40 of the greatest:
// their sums have no order.
struct SampleArgs {
  int32_t* out;
  const float* logits;
  const float* adjusted;
  const SampleRequest* requests;
  int64_t vocabulary;
  int64_t count;
};
void launch_sample(const SampleArgs& args, cudaStream_t stream);
// Of requests whose token is known.
void launch_forced(const SampleArgs& args, cudaStream_t stream);

// The same for requests with a temperature of 0, by more of the device.
struct GreedyArgs {
  SampleArgs sample;
  unsigned long long* best;  // [count], scratch
};
void launch_greedy(const GreedyArgs& args, cudaStream_t stream);

// A token and its log probability.
struct DeviceLogprob {
  int32_t token;
  float logprob;
};

// logprobs[i] = that of the token drawn for request i; tops[first_top..] = the most probable ones,
// best first.
struct LogprobArgs {
  float* logprobs;
  DeviceLogprob* tops;
  unsigned long long* keys;  // as many as tops, scratch
  const float* logits;
  const int32_t* tokens;
  const LogprobRequest* requests;
  int64_t vocabulary;
  int64_t count;
};
void launch_logprobs(const LogprobArgs& args, cudaStream_t stream);

}  // namespace octavo::cuda
