#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "backend/cuda/rope_kernels.h"

namespace octavo::cuda {
namespace {

__global__ void compute_angles(const __grid_constant__ RopeAnglesArgs args) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= args.tokens * args.pairs) return;
  // In double: the product reaches many thousand radians, of which a float keeps few digits after
  // the point.
  const double angle = static_cast<double>(args.positions[i / args.pairs]) *
                       static_cast<double>(args.frequencies[i % args.pairs]);
  double sine = 0.0;
  double cosine = 0.0;
  sincos(angle, &sine, &cosine);
  args.cosines[i] = static_cast<float>(cosine * static_cast<double>(args.magnitude));
  args.sines[i] = static_cast<float>(sine * static_cast<double>(args.magnitude));
}

template <class T>
__device__ T rounded(float x);
template <>
__device__ float rounded<float>(float x) {
  return x;
}
template <>
__device__ __half rounded<__half>(float x) {
  return __float2half_rn(x);
}
template <>
__device__ __nv_bfloat16 rounded<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}

// Pair i of the head at x. The products are rounded on their own, as on the CPU.
__device__ void rotate_pair(float* x, const RopeStoreArgs& args, int i, float cosine, float sine) {
  const int first = args.interleaved != 0 ? 2 * i : i;
  const int second = args.interleaved != 0 ? 2 * i + 1 : i + args.pairs;
  const float a = x[first];
  const float b = x[second];
  x[first] = __fmul_rn(a, cosine) - __fmul_rn(b, sine);
  x[second] = __fmul_rn(b, cosine) + __fmul_rn(a, sine);
}

// A block has one head of one token: of q, or of k and then of v too.
template <class T>
__global__ void rotate_and_store(RopeStoreArgs args) {
  const int64_t token = blockIdx.x;
  const int head = blockIdx.y;
  const bool is_key = head >= args.heads;
  const int kv_head = head - args.heads;
  float* x = is_key ? args.k + (token * args.kv_heads + kv_head) * args.head_dim
                    : args.q + (token * args.heads + head) * args.head_dim;
  for (int i = threadIdx.x; i < args.pairs; i += blockDim.x) {
    rotate_pair(x, args, i, args.cosines[token * args.pairs + i],
                args.sines[token * args.pairs + i]);
  }
  if (!is_key) return;
  __syncthreads();
  const int32_t slot = args.slots[token];
  const int64_t block = slot / args.block_size * args.block_bytes;
  const int64_t offset =
      (int64_t{kv_head} * args.block_size + slot % args.block_size) * args.head_dim;
  T* keys = reinterpret_cast<T*>(args.keys + block) + offset;
  T* values = reinterpret_cast<T*>(args.values + block) + offset;
  const float* v = args.v + (token * args.kv_heads + kv_head) * args.head_dim;
  for (int i = threadIdx.x; i < args.head_dim; i += blockDim.x) {
    keys[i] = rounded<T>(x[i]);
    values[i] = rounded<T>(v[i]);
  }
}

}  // namespace

void launch_rope_angles(const RopeAnglesArgs& args, cudaStream_t stream) {
  constexpr int kThreads = 128;
  const int64_t blocks = (args.tokens * args.pairs + kThreads - 1) / kThreads;
  compute_angles<<<static_cast<unsigned int>(blocks), kThreads, 0, stream>>>(args);
}

void launch_rope_store(const RopeStoreArgs& args, cudaStream_t stream) {
  constexpr int kThreads = 64;
  const dim3 grid(static_cast<unsigned int>(args.tokens),
                  static_cast<unsigned int>(args.heads + args.kv_heads));
  switch (static_cast<DType>(args.type)) {
    case DType::f16:
      rotate_and_store<__half><<<grid, kThreads, 0, stream>>>(args);
      break;
    case DType::bf16:
      rotate_and_store<__nv_bfloat16><<<grid, kThreads, 0, stream>>>(args);
      break;
    default:
      rotate_and_store<float><<<grid, kThreads, 0, stream>>>(args);
      break;
  }
}

}  // namespace octavo::cuda
