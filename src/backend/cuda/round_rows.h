// Activations in 16 bits, as the tensor cores' kernels want them.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace octavo::cuda {

// Activations in 16 bits: f16 with a scale for each row (its largest value becomes 2^10 to 2^11),
// or bf16 as they are.
struct RoundRowsArgs {
  void* out;       // f16 or bf16 [rows, columns], at a multiple of 16 bytes
  float* scales;   // [rows] for f16: x = scale * out. Not used for bf16.
  const float* x;  // [rows, columns], at a multiple of 16 bytes
  int64_t rows;
  int64_t columns;  // a multiple of 32
  int64_t type;     // DType of out: bf16 for bf16 weights, f16 for all others
};
void launch_round_rows(const RoundRowsArgs& args, cudaStream_t stream);

// The same for wide_tiles.h, as its tiles lie in shared memory (wide_tiles.cuh): 64 columns
// of every row, 128 bytes each, then the next 64. Columns are in the order in which the kernel's
// steps take them; behind the last are zeros, rows behind the last are not written.
struct RoundWideArgs {
  void* out;       // wide_elements(rows, columns) of f16 or bf16, at a multiple of 16 bytes
  float* scales;   // [rows] for f16: x = scale * out. Not used for bf16.
  const float* x;  // [rows, columns], at a multiple of 16 bytes
  int64_t rows;
  int64_t columns;  // a multiple of 32
  int64_t type;     // DType of out
};
void launch_round_wide(const RoundWideArgs& args, cudaStream_t stream);

// Columns that a turn of the kernel takes, and how many turns there are.
inline constexpr int64_t kWideGroup = 128;
constexpr int64_t wide_groups(int64_t columns) {
  return (columns + kWideGroup - 1) / kWideGroup;
}
// Rows as they are laid out: whole tiles of any size that the kernel has.
constexpr int64_t wide_rows(int64_t rows) {
  return rows <= 16 ? 16 : rows <= 64 ? 64 : rows <= 128 ? 128 : (rows + 255) / 256 * 256;
}
constexpr int64_t wide_elements(int64_t rows, int64_t columns) {
  return wide_rows(rows) * wide_groups(columns) * kWideGroup;
}

}  // namespace octavo::cuda
