#include "backend/cuda/launch.cuh"
#include "backend/cuda/sample_kernels.h"
#include "backend/cuda/sample_row.cuh"

namespace octavo::cuda {
namespace {

struct LogSumExp {
  double greatest;
  double log_sum;  // log of the sum of exp(logit - greatest)
  __device__ float logprob(float logit) const {
    return static_cast<float>(static_cast<double>(logit) - greatest - log_sum);
  }
};

// The `count` greatest logits, the lower tokens first on a tie: their keys and tokens, in no order.
__device__ void collect_top(LogitRow& row, int count, Mass* keys, int& collected) {
  const auto last = row.cross(
      LogitRow::ByLogit{row}, [count](Mass) { return static_cast<Mass>(count - 1); },
      [](float, int) -> Mass { return 1; });
  const int last_token = row.token_in_order(
      [&](Mass) { return last.rest; },
      [&](float logit, int) -> Mass { return key_of(logit) == last.key ? 1 : 0; });
  if (threadIdx.x == 0) collected = 0;
  __syncthreads();
  const Mass least = key_and_token(last.key, last_token);
  row.each([&](float logit, int token) {
    const Mass key = key_and_token(key_of(logit), token);
    if (key >= least) keys[atomicAdd(&collected, 1)] = key;
  });
  __syncthreads();
}

// A block has a request.
__global__ void __launch_bounds__(kRowThreads) logprobs(LogprobArgs args) {
  follow_previous();
  __shared__ RowShared shared;
  __shared__ int collected;
  const LogprobRequest request = args.requests[blockIdx.x];
  const float* logits = args.logits + request.row * args.vocabulary;
  LogitRow row(logits, args.vocabulary, INFINITY, 1.0F, shared);
  const float greatest = row.greatest_where([](float, int) { return true; });
  row.set_greatest(greatest);
  LogSumExp total = {static_cast<double>(greatest), 0.0};
  total.log_sum = log(
      row.sum([&](float logit, int) { return exp(static_cast<double>(logit) - total.greatest); }));
  if (threadIdx.x == 0) {
    args.logprobs[blockIdx.x] = total.logprob(row.logit(args.tokens[request.place]));
  }
  if (request.top == 0) return;
  Mass* keys = args.keys + request.first_top;
  collect_top(row, request.top, keys, collected);
  for (int i = static_cast<int>(threadIdx.x); i < request.top; i += kRowThreads) {
    const Mass key = keys[i];
    int rank = 0;
    for (int other = 0; other < request.top; ++other) rank += keys[other] > key ? 1 : 0;
    args.tops[request.first_top + rank] = {
        token_of(key), total.logprob(logit_of(static_cast<uint32_t>(key >> 32)))};
  }
}

}  // namespace

void launch_logprobs(const LogprobArgs& args, cudaStream_t stream) {
  launch(logprobs, blocks_of(args.count, 1), kRowThreads, args, stream);
}

}  // namespace octavo::cuda
