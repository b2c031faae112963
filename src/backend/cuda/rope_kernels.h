// Rotary position embedding and the writing of keys and values: arguments and launches.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "backend/cuda/kernel_args.h"

namespace octavo::cuda {

// Most pairs of dimensions that can be rotated: half of the largest head.
inline constexpr int kMaxRopePairs = 256;

// cosines and sines [tokens, pairs] of position * frequency, times the magnitude.
struct RopeAnglesArgs {
  float* cosines;
  float* sines;
  const int32_t* positions;
  int64_t tokens;
  int32_t pairs;
  float magnitude;
  float frequencies[kMaxRopePairs];  // zero behind `pairs`
};
void launch_rope_angles(const RopeAnglesArgs& args, cudaStream_t stream);

// Turns q and k in place and writes k and v, rounded to the store's type, into the slots.
struct RopeStoreArgs {
  int32_t heads;
  int32_t kv_heads;
  int32_t head_dim;
  int32_t pairs;
  int32_t block_size;
  int32_t interleaved;
  int64_t type;    // DType of the store
  float* q;        // [tokens, heads, head_dim]
  float* k;        // [tokens, kv_heads, head_dim]
  const float* v;  // [tokens, kv_heads, head_dim]
  const float* cosines;
  const float* sines;
  const int32_t* slots;
  std::byte* keys;    // of the layer in block 0
  std::byte* values;  // of the layer in block 0
  int64_t block_bytes;
  int64_t tokens;
};
void launch_rope_store(const RopeStoreArgs& args, cudaStream_t stream);

}  // namespace octavo::cuda
