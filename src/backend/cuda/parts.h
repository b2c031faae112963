// Several products with the same activations in one launch: the weights have one type and one
// number of columns, their outputs are cut into blocks, one weight after the other.
#pragma once

#include <cstdint>

#include "backend/cuda/weight_layout.h"

namespace octavo::cuda {

// out[row][o] = sum over k of x[row][k] * weight[o][k] + bias[o].
struct QuantizedPart {
  float* out;         // [rows, weight.rows]
  const float* bias;  // [weight.rows], or null
  QuantizedView weight;
};
struct DensePart {
  float* out;          // [rows, outputs]
  const float* bias;   // [outputs], or null
  const void* weight;  // [outputs, columns]
  int64_t outputs;
};

inline constexpr int kMostParts = 3;

OCTAVO_HOST_DEVICE inline int64_t outputs_of(const QuantizedPart& part) {
  return part.weight.rows;
}
OCTAVO_HOST_DEVICE inline int64_t outputs_of(const DensePart& part) {
  return part.outputs;
}

template <class Part>
OCTAVO_HOST_DEVICE int64_t blocks_of_part(const Part& part, int64_t block_outputs) {
  return (outputs_of(part) + block_outputs - 1) / block_outputs;
}

template <class Part>
int64_t blocks_of_parts(const Part (&parts)[kMostParts], int64_t count, int64_t block_outputs) {
  int64_t blocks = 0;
  for (int64_t part = 0; part < count; ++part) blocks += blocks_of_part(parts[part], block_outputs);
  return blocks;
}

struct PartPlace {
  int part;
  int64_t first_output;  // of the block, in its part
};

template <class Part>
OCTAVO_HOST_DEVICE PartPlace find_part(const Part (&parts)[kMostParts], int64_t count,
                                       int64_t block, int64_t block_outputs) {
  int part = 0;
  while (part + 1 < count && block >= blocks_of_part(parts[part], block_outputs)) {
    block -= blocks_of_part(parts[part], block_outputs);
    ++part;
  }
  return {part, block * block_outputs};
}

}  // namespace octavo::cuda
