// Products of some tens to some hundreds of rows with quantised weights, by Hopper's tensor core
// instructions for groups of four warps ("wgmma"), the weights expanded to f16 in registers; and
// of any number of rows, with f16 and bf16 weights too, where they are to be deterministic.
//
//   out[row][n] = sum over k of x[row][k] * W[n][k], + bias[n]
//
// What linear_tiles.h does, for devices of compute capability 9.0 alone, and at their full speed;
// range and rounding are the same. A sum over k is cut into parts that are added in ascending
// order. Where they are cut depends on the number of rows, unless the sum is to be `in_order`: then
// on the weights' shapes alone, so that the bits of an output depend on its row of x, its row of W,
// and on the launch's weights, and on nothing else.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "backend/cuda/parts.h"
#include "backend/cuda/tiles_scratch.h"
#include "base/dtype.h"

namespace octavo::cuda {

struct WideTilesArgs {
  QuantizedPart parts[kMostParts];  // the weights have one type and one number of columns
  const void* x;                    // f16, for bf16 weights bf16, from launch_round_wide
  const float* x_scales;            // [rows] from there; not used for bf16 weights
  void* partials;                   // TilesScratch::partial_bytes, at a multiple of 16 bytes
  uint32_t* arrived;  // TilesScratch::counters; 0 before the first launch and after each
  int64_t count;      // of parts
  int64_t in_order;   // 1: the cuts of a sum do not depend on the number of rows
  int64_t rows;
  int64_t inner;
  int64_t type;  // DType of the weights
};
void launch_wide_tiles(const WideTilesArgs& args, cudaStream_t stream);

TilesScratch wide_tiles_scratch(const WideTilesArgs& args);

// How a launch is cut: tiles of kWideOutputs outputs and some rows, the sum over k in `cuts` parts,
// each the work of another block of threads (`splits` is `cuts`), or all of one (1).
struct WideCut {
  int64_t tile_rows;
  int64_t row_tiles;
  int64_t output_tiles;  // of all parts
  int64_t cuts;
  int64_t turns_each;  // of a part: steps of kWideGroup columns
  int64_t splits;
};
WideCut cut_wide_tiles(const WideTilesArgs& args);

inline constexpr int64_t kWideOutputs = 128;

// launch_wide_tiles for one type; instantiated in wide_tiles_*.cu.
template <DType type>
void launch_wide(const WideTilesArgs& args, cudaStream_t stream);

}  // namespace octavo::cuda
