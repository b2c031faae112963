// Products with the tensor cores, the weights expanded to f16 in registers: for more rows than the
// bandwidth-bound kernels take, and, being deterministic, for any number of rows where that is
// asked for.
//
//   out[row][n] = sum over k of x[row][k] * W[n][k], + bias[n]
//
// launch_round_rows() (round_rows.h) turns the activations into 16 bits before, once for all the
// weights that they meet. W is quantised (any of the 13 types) or
// dense f16 or bf16. `inner` (k) is a multiple of 32, the numbers of rows and of outputs are any.
//
// The bits of an output depend on its row of x, its row of W, the type, `outputs` and `inner`, and
// on nothing else: the order of the sum is that of k, cut where linear_tile_splits() says, and
// neither the number of rows nor their tile moves a cut.
//
// Range: activations are scaled by a power of two for each row, so any finite float does. A row
// with an infinity or a NaN gives NaN in all its outputs and touches no other (with bf16 weights,
// what arithmetic makes of it). A quantised weight of 1023 or more in magnitude overflows.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "backend/cuda/tiles_scratch.h"
#include "backend/cuda/weight_layout.h"

namespace octavo::cuda {

struct LinearTilesArgs {
  float* out;             // [rows, outputs]
  const void* x;          // [rows, inner] from launch_round_rows
  const float* x_scales;  // [rows] from there; not used for bf16 weights
  QuantizedView weight;   // of a quantised type
  const void* dense;      // f16 or bf16 [outputs, inner], at a multiple of 8 bytes
  const float* bias;      // [outputs], or null
  void* partials;         // TilesScratch::partial_bytes, at a multiple of 16 bytes
  uint32_t* arrived;      // TilesScratch::counters; 0 before the first launch, and after each
  int64_t rows;
  int64_t outputs;
  int64_t inner;
  int64_t type;  // DType of the weight
};
void launch_linear_tiles(const LinearTilesArgs& args, cudaStream_t stream);

inline constexpr int64_t kTileOutputs = 128;  // rows of W that a block of threads multiplies
inline constexpr int64_t kTileInner = 256;    // k of one turn of its loop

// Into how many parts the sum over k is cut, each part the work of another block of threads: as
// many as give each of 132 multiprocessors (an H100's) one when there is one tile of rows.
constexpr int64_t linear_tile_splits(int64_t outputs, int64_t inner) {
  const int64_t tiles = (outputs + kTileOutputs - 1) / kTileOutputs;
  const int64_t turns = (inner + kTileInner - 1) / kTileInner;
  const int64_t wanted = tiles < 132 ? 132 / tiles : 1;
  const int64_t turns_each = wanted < turns ? (turns + wanted - 1) / wanted : 1;
  return (turns + turns_each - 1) / turns_each;
}

// Rows of x that a block of threads multiplies.
constexpr int64_t linear_tile_rows(int64_t rows) {
  return rows <= 8 ? 8 : rows <= 32 ? 32 : 64;
}

constexpr TilesScratch linear_tiles_scratch(int64_t rows, int64_t outputs, int64_t inner) {
  const int64_t splits = linear_tile_splits(outputs, inner);
  if (splits == 1) return {0, 0};
  const int64_t tile_rows = linear_tile_rows(rows);
  const int64_t tiles =
      (rows + tile_rows - 1) / tile_rows * ((outputs + kTileOutputs - 1) / kTileOutputs);
  const auto floats = static_cast<size_t>(tiles * splits * tile_rows * kTileOutputs);
  return {floats * sizeof(float), static_cast<size_t>(tiles)};
}

// launch_linear_tiles for one type; instantiated in linear_tiles_*.cu.
template <DType type>
void launch_tiles(const LinearTilesArgs& args, cudaStream_t stream);

}  // namespace octavo::cuda
