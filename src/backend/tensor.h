// A non-owning view of a dense activation matrix in the backend's memory.
//
// The memory belongs to the backend's scratch area and lasts until its next begin_step.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/check.h"

namespace octavo {

struct Tensor {
  float* data = nullptr;  // [rows, columns], row-major, contiguous; device memory on a device
  int64_t rows = 0;
  int64_t columns = 0;

  float* row(int64_t index) const { return data + index * columns; }
  int64_t elements() const { return rows * columns; }

  // `count` rows of it.
  Tensor slice(int64_t first, int64_t count) const { return {row(first), count, columns}; }

  // The same memory seen with rows of another length, e.g. [tokens, heads * dim] as [tokens *
  // heads, dim].
  Tensor reshaped(int64_t new_columns) const {
    OCTAVO_CHECK(new_columns > 0 && elements() % new_columns == 0, "{} elements into rows of {}",
                 elements(), new_columns);
    return {data, elements() / new_columns, new_columns};
  }
};

}  // namespace octavo
