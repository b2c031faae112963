// Products of few rows with a dense matrix of any width, in floats: the one path for f32 weights of
// few rows, and for widths that the tensor cores' kernels do not take.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace octavo::cuda {

// out[row][o] = sum over k of x[row][k] * weight[o][k] + bias[o]. The order of a sum depends on
// `inner` alone.
struct DenseRowsArgs {
  float* out;          // [rows, outputs]
  const float* x;      // [rows, inner]
  const void* weight;  // [outputs, inner]
  const float* bias;   // [outputs], or null
  int64_t rows;
  int64_t outputs;
  int64_t inner;
  int64_t type;  // DType of the weight: f32, f16 or bf16
};
void launch_dense_rows(const DenseRowsArgs& args, cudaStream_t stream);

}  // namespace octavo::cuda
