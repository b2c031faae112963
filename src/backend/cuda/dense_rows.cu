#include "backend/cuda/dense_rows.h"

#include "backend/cuda/launch.cuh"
#include "backend/cuda/numbers.cuh"
#include "base/dtype.h"

namespace octavo::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kWarp = 32;
constexpr int kThreads = kWarps * kWarp;
constexpr int kRows = 8;          // of x that one pass over the weight serves
constexpr int kVector = 8;        // values of 16 bits that are loaded at once
constexpr int kBlockOutputs = 8;  // of a block of threads that multiplies vectors
constexpr int kPairedOutputs = 2;
// From here on rows are so long that a warp is better off with one at a time.
constexpr int64_t kLongRow = 8192;
constexpr int kAhead = 4;  // vectors of each row that a lane loads before it needs them

__device__ float sum_lanes(float sum) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    sum += __shfl_xor_sync(0xFFFFFFFFU, sum, offset);
  }
  return sum;
}

__device__ void store(const DensePart& part, int64_t row, int64_t output, float sum) {
  const float bias = part.bias == nullptr ? 0.0F : part.bias[output];
  part.out[row * part.outputs + output] = sum + bias;
}

// A warp has one row of the weight, a lane every 32nd column of it.
template <class T>
__global__ void __launch_bounds__(kThreads) multiply(const __grid_constant__ DenseRowsArgs args) {
  follow_previous();
  const PartPlace place = find_part(args.parts, args.count, blockIdx.x, kWarps);
  const DensePart& part = args.parts[place.part];
  const int64_t output = place.first_output + threadIdx.x / kWarp;
  if (output >= part.outputs) return;
  const int lane = threadIdx.x % kWarp;
  const int64_t first_row = int64_t{blockIdx.y} * kRows;
  const auto rows = static_cast<int>(min(int64_t{kRows}, args.rows - first_row));
  const T* weight = static_cast<const T*>(part.weight) + output * args.inner;
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
    const float sum = sum_lanes(sums[row]);
    if (lane == 0 && row < rows) store(part, first_row + row, output, sum);
  }
}

template <class T>
__device__ float add_products(float sum, const uint4& raw, const float4& low, const float4& high) {
  const float2 w[4] = {two_floats<T>(raw.x), two_floats<T>(raw.y), two_floats<T>(raw.z),
                       two_floats<T>(raw.w)};
  sum = fmaf(w[0].x, low.x, sum);
  sum = fmaf(w[0].y, low.y, sum);
  sum = fmaf(w[1].x, low.z, sum);
  sum = fmaf(w[1].y, low.w, sum);
  sum = fmaf(w[2].x, high.x, sum);
  sum = fmaf(w[2].y, high.y, sum);
  sum = fmaf(w[3].x, high.z, sum);
  return fmaf(w[3].y, high.w, sum);
}

// Weights of 16 bits in whole vectors: a lane has every 32nd vector of kOutputs rows.
template <class T, int kMost, int kOutputs>
__global__ void __launch_bounds__(kBlockOutputs / kOutputs * kWarp)
    multiply_vectors(const __grid_constant__ DenseRowsArgs args) {
  let_next_begin();
  const PartPlace place = find_part(args.parts, args.count, blockIdx.x, kBlockOutputs);
  const DensePart& part = args.parts[place.part];
  const int lane = threadIdx.x % kWarp;
  const int64_t first = place.first_output + threadIdx.x / kWarp * kOutputs;
  if (first >= part.outputs) return;
  const int64_t vectors = args.inner / kVector;
  // Behind the last row, the last row again: its sum is not written.
  const auto outputs = static_cast<int>(min(int64_t{kOutputs}, part.outputs - first));
  const auto* weight = static_cast<const uint4*>(part.weight) + first * vectors;
  uint4 raw[kAhead][kOutputs];
  const auto load = [&](int slot, int64_t i) {
    if (i >= vectors) return;
#pragma unroll
    for (int o = 0; o < kOutputs; ++o) {
      raw[slot][o] = __ldg(weight + min(o, outputs - 1) * vectors + i);
    }
  };
#pragma unroll
  for (int slot = 0; slot < kAhead; ++slot) load(slot, lane + slot * kWarp);
  wait_for_previous();
  float sums[kOutputs][kMost] = {};
  for (int64_t start = lane; start < vectors; start += kAhead * kWarp) {
#pragma unroll
    for (int slot = 0; slot < kAhead; ++slot) {
      const int64_t i = start + slot * kWarp;
      if (i >= vectors) break;
      uint4 now[kOutputs];
#pragma unroll
      for (int o = 0; o < kOutputs; ++o) now[o] = raw[slot][o];
      load(slot, i + kAhead * kWarp);
#pragma unroll
      for (int row = 0; row < kMost; ++row) {
        const auto* x = reinterpret_cast<const float4*>(
            args.x + min(int64_t{row}, args.rows - 1) * args.inner + i * kVector);
        const float4 low = __ldg(x);
        const float4 high = __ldg(x + 1);
#pragma unroll
        for (int o = 0; o < kOutputs; ++o) {
          sums[o][row] = add_products<T>(sums[o][row], now[o], low, high);
        }
      }
    }
  }
#pragma unroll
  for (int o = 0; o < kOutputs; ++o) {
#pragma unroll
    for (int row = 0; row < kMost; ++row) {
      const float sum = sum_lanes(sums[o][row]);
      if (lane == 0 && o < outputs && row < args.rows) store(part, row, first + o, sum);
    }
  }
}

unsigned int blocks_for(const DenseRowsArgs& args, int64_t block_outputs) {
  return static_cast<unsigned int>(blocks_of_parts(args.parts, args.count, block_outputs));
}

template <class T>
void launch_vectors(const DenseRowsArgs& args, cudaStream_t stream) {
  constexpr int kPaired = kPairedOutputs;
  constexpr int kPairedThreads = kBlockOutputs / kPaired * kWarp;
  const unsigned int blocks = blocks_for(args, kBlockOutputs);
  if (args.rows == 1 && args.inner >= kLongRow) {
    return launch(multiply_vectors<T, 1, 1>, blocks, kBlockOutputs * kWarp, args, stream);
  }
  if (args.rows == 1) {
    return launch(multiply_vectors<T, 1, kPaired>, blocks, kPairedThreads, args, stream);
  }
  if (args.rows == 2) {
    return launch(multiply_vectors<T, 2, kPaired>, blocks, kPairedThreads, args, stream);
  }
  if (args.rows <= 4) {
    return launch(multiply_vectors<T, 4, kPaired>, blocks, kPairedThreads, args, stream);
  }
  launch(multiply_vectors<T, kRows, kPaired>, blocks, kPairedThreads, args, stream);
}

}  // namespace

void launch_dense_rows(const DenseRowsArgs& args, cudaStream_t stream) {
  const auto type = static_cast<DType>(args.type);
  if (type != DType::f32 && args.inner % kVector == 0 && args.rows <= kRows) {
    if (type == DType::f16) return launch_vectors<__half>(args, stream);
    return launch_vectors<__nv_bfloat16>(args, stream);
  }
  const dim3 grid(blocks_for(args, kWarps), blocks_of(args.rows, kRows));
  if (type == DType::f16) return launch(multiply<__half>, grid, kThreads, args, stream);
  if (type == DType::bf16) return launch(multiply<__nv_bfloat16>, grid, kThreads, args, stream);
  launch(multiply<float>, grid, kThreads, args, stream);
}

}  // namespace octavo::cuda
