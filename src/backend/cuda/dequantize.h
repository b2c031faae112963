// Turns rows of a quantised matrix into bf16, for a library's product over long prompts.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "backend/cuda/weight_layout.h"

namespace octavo::cuda {

// out[i] = row first_row + i of the weight, each value rounded to the nearest bf16.
struct DequantizeArgs {
  void* out;  // bf16 [rows, 32 * weight.chunks], at a multiple of 16 bytes
  QuantizedView weight;
  int64_t first_row;
  int64_t rows;
  int64_t type;  // DType of the weight, a quantised one
};
void launch_dequantize(const DequantizeArgs& args, cudaStream_t stream);

}  // namespace octavo::cuda
