// Products of few rows with dense matrices, in floats: bound by the memory's bandwidth. The one
// path for f32 weights of few rows, and for widths that the tensor cores' kernels do not take.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "backend/cuda/parts.h"

namespace octavo::cuda {

// out[row][o] = sum over k of x[row][k] * weight[o][k] + bias[o] for every part. The order of a sum
// depends on `inner` alone.
struct DenseRowsArgs {
  DensePart parts[kMostParts];
  const float* x;  // [rows, inner]
  int64_t count;   // of parts
  int64_t rows;
  int64_t inner;
  int64_t type;  // DType of the weights: f32, f16 or bf16
};
void launch_dense_rows(const DenseRowsArgs& args, cudaStream_t stream);

}  // namespace octavo::cuda
