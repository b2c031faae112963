// What kernels are told about a step and about the KV cache: plain structs of device pointers,
// passed by value. They own nothing.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace octavo::cuda {

// The flat arrays of a Batch, in device memory.
struct StepView {
  const int32_t* tokens;     // [tokens] as in Batch
  const int32_t* positions;  // [tokens]
};

// The block tables of one KV group.
struct TablesView {
  const int32_t* slots;   // [tokens] block * block_size + offset that the row writes
  const int32_t* blocks;  // of all sequences
};

// Where one layer's keys and values are. A block holds for each of its layers the keys, then the
// values, each [kv_heads, block_size, head_dim].
struct KvView {
  std::byte* memory;     // of block 0
  int64_t block_bytes;   // from a block to the next
  int64_t key_offset;    // from a block to the layer's keys
  int64_t value_offset;  // from a block to the layer's values
  int32_t block_size;
  int32_t kv_heads;
  int32_t head_dim;
  DType type;         // f32, f16 or bf16
  uint8_t unused[3];  // zero: arguments of kernels are compared by their bytes (tape.h)
};

}  // namespace octavo::cuda
