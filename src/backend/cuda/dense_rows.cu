#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "backend/cuda/dense_rows.h"
#include "base/dtype.h"

namespace octavo::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kWarp = 32;
constexpr int kRows = 8;  // of x that one pass over the weight serves

__device__ float to_float(float x) {
  return x;
}
__device__ float to_float(__half x) {
  return __half2float(x);
}
__device__ float to_float(__nv_bfloat16 x) {
  return __bfloat162float(x);
}

// A warp has one row of the weight, a lane every 32nd column of it.
template <class T>
__global__ void multiply(DenseRowsArgs args) {
  const int64_t output = int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp;
  if (output >= args.outputs) return;
  const int lane = threadIdx.x % kWarp;
  const int64_t first_row = int64_t{blockIdx.y} * kRows;
  const auto rows = static_cast<int>(min(int64_t{kRows}, args.rows - first_row));
  const T* weight = static_cast<const T*>(args.weight) + output * args.inner;
  const float* x = args.x + first_row * args.inner;
  float sums[kRows] = {};
  for (int64_t k = lane; k < args.inner; k += kWarp) {
    const float w = to_float(weight[k]);
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      if (row < rows) sums[row] = fmaf(w, x[row * args.inner + k], sums[row]);
    }
  }
#pragma unroll
  for (int row = 0; row < kRows; ++row) {
    for (int offset = kWarp / 2; offset > 0; offset /= 2) {
      sums[row] += __shfl_xor_sync(0xFFFFFFFFU, sums[row], offset);
    }
    if (lane == 0 && row < rows) {
      const float bias = args.bias == nullptr ? 0.0F : args.bias[output];
      args.out[(first_row + row) * args.outputs + output] = sums[row] + bias;
    }
  }
}

// Two values of 16 bits as floats.
template <class T>
__device__ float2 two_floats(uint32_t bits);
template <>
__device__ float2 two_floats<__half>(uint32_t bits) {
  return __half22float2(*reinterpret_cast<const __half2*>(&bits));
}
template <>
__device__ float2 two_floats<__nv_bfloat16>(uint32_t bits) {
  return __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(&bits));
}

constexpr int kVector = 8;  // values of 16 bits that are loaded at once

// The same for weights of 16 bits in whole vectors, at the memory's bandwidth.
template <class T, int kMost>
__global__ void __launch_bounds__(kWarps* kWarp) multiply_vectors(DenseRowsArgs args) {
  const int64_t output = int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp;
  if (output >= args.outputs) return;
  const int lane = threadIdx.x % kWarp;
  const int64_t vectors = args.inner / kVector;
  const auto* weight = static_cast<const uint4*>(args.weight) + output * vectors;
  float sums[kMost] = {};
#pragma unroll 4
  for (int64_t i = lane; i < vectors; i += kWarp) {
    const uint4 raw = __ldg(weight + i);
    const float2 w[4] = {two_floats<T>(raw.x), two_floats<T>(raw.y), two_floats<T>(raw.z),
                         two_floats<T>(raw.w)};
#pragma unroll
    for (int row = 0; row < kMost; ++row) {
      const int64_t at = min(int64_t{row}, args.rows - 1) * args.inner + i * kVector;
      const float4 low = __ldg(reinterpret_cast<const float4*>(args.x + at));
      const float4 high = __ldg(reinterpret_cast<const float4*>(args.x + at) + 1);
      float sum = sums[row];
      sum = fmaf(w[0].x, low.x, sum);
      sum = fmaf(w[0].y, low.y, sum);
      sum = fmaf(w[1].x, low.z, sum);
      sum = fmaf(w[1].y, low.w, sum);
      sum = fmaf(w[2].x, high.x, sum);
      sum = fmaf(w[2].y, high.y, sum);
      sum = fmaf(w[3].x, high.z, sum);
      sums[row] = fmaf(w[3].y, high.w, sum);
    }
  }
#pragma unroll
  for (int row = 0; row < kMost; ++row) {
    for (int offset = kWarp / 2; offset > 0; offset /= 2) {
      sums[row] += __shfl_xor_sync(0xFFFFFFFFU, sums[row], offset);
    }
    if (lane == 0 && row < args.rows) {
      const float bias = args.bias == nullptr ? 0.0F : args.bias[output];
      args.out[row * args.outputs + output] = sums[row] + bias;
    }
  }
}

template <class T>
void launch_vectors(const DenseRowsArgs& args, unsigned int blocks, cudaStream_t stream) {
  constexpr int kThreads = kWarps * kWarp;
  if (args.rows == 1) return multiply_vectors<T, 1><<<blocks, kThreads, 0, stream>>>(args);
  if (args.rows == 2) return multiply_vectors<T, 2><<<blocks, kThreads, 0, stream>>>(args);
  if (args.rows <= 4) return multiply_vectors<T, 4><<<blocks, kThreads, 0, stream>>>(args);
  multiply_vectors<T, 8><<<blocks, kThreads, 0, stream>>>(args);
}

}  // namespace

void launch_dense_rows(const DenseRowsArgs& args, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned int>((args.outputs + kWarps - 1) / kWarps),
                  static_cast<unsigned int>((args.rows + kRows - 1) / kRows));
  constexpr int kThreads = kWarps * kWarp;
  const auto type = static_cast<DType>(args.type);
  if (type != DType::f32 && args.inner % kVector == 0 && args.rows <= kRows) {
    if (type == DType::f16) return launch_vectors<__half>(args, grid.x, stream);
    return launch_vectors<__nv_bfloat16>(args, grid.x, stream);
  }
  switch (type) {
    case DType::f16:
      multiply<__half><<<grid, kThreads, 0, stream>>>(args);
      break;
    case DType::bf16:
      multiply<__nv_bfloat16><<<grid, kThreads, 0, stream>>>(args);
      break;
    default:
      multiply<float><<<grid, kThreads, 0, stream>>>(args);
      break;
  }
}

}  // namespace octavo::cuda
