// Turns a quantised tensor of a GGUF file into the planes of weight_layout.h, on the host.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/cuda/weight_layout.h"
#include "base/dtype.h"

namespace octavo::cuda {

// Where the planes of some rows are written; null where the format has no such plane.
struct Planes {
  uint8_t* codes = nullptr;
  uint8_t* high = nullptr;
  uint8_t* scales = nullptr;
  uint8_t* super = nullptr;
};

struct PlaneBytes {
  size_t codes = 0;
  size_t high = 0;
  size_t scales = 0;
  size_t super = 0;
};

// Bytes of the planes of `rows` rows of `columns` values, a multiple of the type's block.
PlaneBytes plane_bytes(DType type, int64_t rows, int64_t columns);

// Packs `rows` rows of `columns` values at `blocks`, which needs no alignment.
void pack_rows(DType type, const std::byte* blocks, int64_t rows, int64_t columns,
               const Planes& planes);

}  // namespace octavo::cuda
