// Turning a pair of dimensions, and where keys and values are stored. Device code only.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "backend/cuda/rope_kernels.h"

namespace octavo::cuda {

template <class T>
__device__ T rounded(float x);
template <>
__device__ inline float rounded<float>(float x) {
  return x;
}
template <>
__device__ inline __half rounded<__half>(float x) {
  return __float2half_rn(x);
}
template <>
__device__ inline __nv_bfloat16 rounded<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}

// The products are rounded on their own, as on the CPU.
__device__ inline float2 turned(float2 pair, float cosine, float sine) {
  return {__fmul_rn(pair.x, cosine) - __fmul_rn(pair.y, sine),
          __fmul_rn(pair.y, cosine) + __fmul_rn(pair.x, sine)};
}

// Where the token's key or value of a head is stored; `layer` is args.keys or args.values.
template <class T>
__device__ T* stored_head(const RopeStoreArgs& args, std::byte* layer, int64_t token,
                          int64_t kv_head) {
  const int32_t slot = args.slots[token];
  const int64_t block = slot / args.block_size * args.block_bytes;
  const int64_t row = kv_head * args.block_size + slot % args.block_size;
  return reinterpret_cast<T*>(layer + block) + row * args.head_dim;
}

}  // namespace octavo::cuda
