// out = x * weight^T + bias: chooses the kernels for a product and notes them on the tape.
#pragma once

#include <span>

#include "backend/backend.h"
#include "backend/cuda/cublas.h"
#include "backend/cuda/device_scratch.h"
#include "backend/cuda/tape.h"

namespace octavo::cuda {

// What the products of a backend share. `temporary` is theirs alone; `counters` are zero between
// launches.
struct ProductTools {
  Tape& tape;
  DeviceScratch& temporary;
  const Cublas& cublas;
  uint32_t* counters;  // [kProductCounters]
  void* workspace;     // [kCublasWorkspaceBytes]
  bool deterministic;
  bool wide_tiles;  // the device has wide_tiles.h's kernels
};

inline constexpr size_t kProductCounters = 1 << 16;

// Every projection of x [rows, in]. By the number of rows and the weight:
//   up to kMostFewRows rows     few_rows.h for quantised weights, dense_rows.h for others
//   up to some hundreds         tensor cores, weights expanded in registers (wide_tiles.h; without
//                               those instructions linear_tiles.h, up to some tens)
//   more                        cuBLASLt, quantised weights turned into bf16 a part at a time
// and where it must be deterministic, wide_tiles.h in order for any number, or without those
// instructions linear_tiles.h. Weights of f32, or with rows not of whole chunks, are multiplied in
// floats (dense_rows.h; cuBLASLt for many rows of f32).
void run_projections(Tensor x, std::span<const Projection> projections, const ProductTools& tools);

}  // namespace octavo::cuda
