#include "backend/cuda/launch.cuh"
#include "backend/cuda/sample_kernels.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 256;

__device__ float* row_at(const AdjustArgs& args, int32_t row) {
  return row >= 0 ? args.logits + row * args.vocabulary : args.adjusted + ~row * args.vocabulary;
}

// Copies and masks. A row is shared by gridDim.y blocks.
__global__ void __launch_bounds__(kThreads) sweep(AdjustArgs args) {
  follow_previous();
  const AdjustRequest request = args.requests[blockIdx.x];
  if (request.from == request.to && request.mask < 0) return;
  const float* from = row_at(args, request.from);
  float* to = row_at(args, request.to);
  const auto vocabulary = static_cast<int>(args.vocabulary);
  const auto step = static_cast<int>(gridDim.y) * kThreads;
  for (int token = static_cast<int>(blockIdx.y) * kThreads + static_cast<int>(threadIdx.x);
       token < vocabulary; token += step) {
    const bool allowed =
        request.mask < 0 || (args.masks[request.mask + token / 32] >> token % 32 & 1) != 0;
    to[token] = allowed ? from[token] : -INFINITY;
  }
}

__device__ float number(float logit) {
  return isnan(logit) ? -INFINITY : logit;
}

// The rounding is that of the CPU, which has no fused products here.
__device__ float penalised(float logit, const AdjustRequest& request, float count) {
  logit = number(logit);
  logit = logit > 0 ? __fdiv_rn(logit, request.repetition) : __fmul_rn(logit, request.repetition);
  if (count == 0.0F) return logit;
  return __fsub_rn(logit, __fadd_rn(__fmul_rn(count, request.frequency), request.presence));
}

// A block has a row.
__global__ void __launch_bounds__(kThreads) edit(AdjustArgs args) {
  follow_previous();
  const AdjustRequest request = args.requests[blockIdx.x];
  float* row = row_at(args, request.to);
  const auto thread = static_cast<int>(threadIdx.x);
  // Additions to one token are made by one thread, in their order.
  const SampleEdit* additions = args.edits + request.first_edit;
  for (int i = thread; i < request.additions; i += kThreads) {
    const int32_t token = additions[i].token;
    if (i > 0 && additions[i - 1].token == token) continue;
    float logit = number(row[token]);
    for (int next = i; next < request.additions && additions[next].token == token; ++next) {
      logit = __fadd_rn(logit, additions[next].value);
    }
    row[token] = logit;
  }
  __syncthreads();
  const SampleEdit* seen = additions + request.additions;
  const int32_t pending = request.pending >= 0 ? args.tokens[request.pending] : -1;
  bool met = false;
  for (int i = thread; i < request.seen; i += kThreads) {
    const bool again = seen[i].token == pending;
    met = met || again;
    float& logit = row[seen[i].token];
    logit = penalised(logit, request, seen[i].value + (again ? 1.0F : 0.0F));
  }
  met = __syncthreads_or(met ? 1 : 0) != 0;
  if (pending >= 0 && !met && thread == 0) row[pending] = penalised(row[pending], request, 1.0F);
}

}  // namespace

void launch_adjust(const AdjustArgs& args, cudaStream_t stream) {
  constexpr int64_t kBlocksEach = 16;
  const auto count = static_cast<unsigned int>(args.count);
  if (args.has_sweeps != 0) launch(sweep, dim3(count, kBlocksEach), kThreads, args, stream);
  launch(edit, count, kThreads, args, stream);
}

}  // namespace octavo::cuda
