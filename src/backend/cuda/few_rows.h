// Products of few rows with a quantised matrix, bound by the memory's bandwidth: the weights' codes
// meet activations that are rounded to bytes, 32 at a time, as on the CPU.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "backend/cuda/weight_layout.h"

namespace octavo::cuda {

inline constexpr int64_t kMostFewRows = 8;

// What the kernels know of 32 activations beside their codes: x is about scale * code.
struct alignas(16) RoundedChunk {
  float scale;           // greatest |x| / 127; infinity where one is infinite or NaN, with codes 0
  float scaled_sums[2];  // scale * sum of the codes 0 to 15 and 16 to 31
  float unused;
};

struct RoundToBytesArgs {
  int8_t* codes;         // [rows, columns]
  RoundedChunk* chunks;  // [rows, columns / 32]
  const float* x;        // [rows, columns]
  int64_t rows;
  int64_t columns;
};
void launch_round_to_bytes(const RoundToBytesArgs& args, cudaStream_t stream);

// out[row][o] = sum over k of x[row][k] * weight[o][k] + bias[o], for up to kMostFewRows rows. The
// order of a sum depends on the number of columns alone.
struct FewRowsArgs {
  float* out;                  // [rows, weight.rows]
  const int8_t* codes;         // [rows, columns]
  const RoundedChunk* chunks;  // [rows, columns / 32]
  const float* bias;           // [weight.rows], or null
  QuantizedView weight;
  int64_t rows;
  int64_t type;  // DType of the weight
};
void launch_few_rows(const FewRowsArgs& args, cudaStream_t stream);

}  // namespace octavo::cuda
