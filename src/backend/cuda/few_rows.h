// Products of few rows with a quantised matrix, bound by the memory's bandwidth: the weights' codes
// meet activations that are rounded to bytes, 32 at a time, as on the CPU.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "backend/cuda/parts.h"
#include "backend/cuda/rope_kernels.h"
#include "backend/cuda/rounded_rows.h"

namespace octavo::cuda {

inline constexpr int64_t kMostFewRows = 8;
// From here on rows are so long that a warp is better off with one at a time.
inline constexpr int64_t kLongRow = 256;  // chunks

enum class Gating : int64_t { none, silu, gelu_tanh };

// out[row][o] = sum over k of x[row][k] * weight[o][k] + bias[o] for every part, for up to
// kMostFewRows rows. The weights have one type and one number of columns. The order of a sum
// depends on the number of columns alone.
struct FewRowsArgs {
  QuantizedPart parts[kMostParts];
  int64_t count;  // of parts
  int64_t rows;
  int64_t type;  // DType of the weights
  // What launch_rope_store() does, of those of q, k and v that are parts; nothing with heads of 0
  // dimensions. Otherwise heads have an even number of them.
  RopeStoreArgs rope;
  // Of two parts of equal shape, a gate and what it scales, whose rows have fewer than kLongRow
  // chunks: out of the first = activation(first) * second; that of the second is not written.
  Gating gating;
  RoundedRows x;  // [rows, columns]
};
void launch_few_rows(const FewRowsArgs& args, cudaStream_t stream);

}  // namespace octavo::cuda
