#include "backend/cuda/round_rows.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "backend/cuda/launch.cuh"
#include "backend/cuda/row_scale.cuh"
#include "base/dtype.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarp = 32;

// The bits of the greatest magnitude in the row: ordered as the magnitudes are, infinity and NaN
// above all others.
__device__ uint32_t greatest_magnitude(const float4* row, int64_t fours) {
  __shared__ uint32_t greatest[kThreads / kWarp];
  uint32_t found = 0;
  for (int64_t i = threadIdx.x; i < fours; i += kThreads) {
    const float4 x = row[i];
    found = max(found, max(max(__float_as_uint(x.x) << 1, __float_as_uint(x.y) << 1),
                           max(__float_as_uint(x.z) << 1, __float_as_uint(x.w) << 1)));
  }
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    found = max(found, __shfl_xor_sync(0xFFFFFFFFU, found, offset));
  }
  if (threadIdx.x % kWarp == 0) greatest[threadIdx.x / kWarp] = found;
  __syncthreads();
  for (int warp = 0; warp < kThreads / kWarp; ++warp) found = max(found, greatest[warp]);
  return found >> 1;
}

__device__ uint32_t bf16_pair(float2 x) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(x.x, x.y);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

// One block a row.
__global__ void __launch_bounds__(kThreads) round_rows_to_f16(RoundRowsArgs args) {
  follow_previous();
  const int64_t fours = args.columns / 4;
  const auto* row = reinterpret_cast<const float4*>(args.x) + blockIdx.x * fours;
  auto* out = static_cast<uint2*>(args.out) + blockIdx.x * fours;
  const RowScale scale = scale_of(greatest_magnitude(row, fours));
  for (int64_t i = threadIdx.x; i < fours; i += kThreads) {
    const float4 x = row[i];
    out[i] = make_uint2(scaled_pair({x.x, x.y}, scale), scaled_pair({x.z, x.w}, scale));
  }
  if (threadIdx.x == 0) args.scales[blockIdx.x] = scale.inverse;
}

// One block a row. A unit of eight values has two each of four chunks; the units of a line of 128
// bytes are exchanged by the row modulo 8.
__global__ void __launch_bounds__(kThreads) round_rows_for_wide(RoundWideArgs args) {
  follow_previous();
  constexpr int kUnits = kWideGroup / 8;  // of a group
  const int64_t row_index = blockIdx.x;
  const float* row = args.x + row_index * args.columns;
  const int64_t lines = wide_rows(args.rows);
  auto* out = static_cast<uint4*>(args.out);
  const bool is_f16 = static_cast<DType>(args.type) == DType::f16;
  RowScale scale = {};
  if (is_f16) {
    scale = scale_of(greatest_magnitude(reinterpret_cast<const float4*>(row), args.columns / 4));
  }
  for (int64_t i = threadIdx.x; i < wide_groups(args.columns) * kUnits; i += kThreads) {
    // The unit's step of 16 values, and its half of that.
    const int64_t step = i % kUnits / 2;
    const int64_t column = i / kUnits * kWideGroup + 4 * step + i % 2 * 2;
    uint32_t pairs[4] = {};
#pragma unroll
    for (int chunk = 0; chunk < 4; ++chunk) {
      const int64_t at = column + chunk * 32;
      if (at >= args.columns) continue;
      const float2 x = *reinterpret_cast<const float2*>(row + at);
      pairs[chunk] = is_f16 ? scaled_pair(x, scale) : bf16_pair(x);
    }
    out[wide_unit(i, row_index, lines)] = make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
  }
  if (is_f16 && threadIdx.x == 0) args.scales[row_index] = scale.inverse;
}

__global__ void __launch_bounds__(kThreads) round_rows_to_bf16(RoundRowsArgs args) {
  follow_previous();
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= args.rows * args.columns / 4) return;
  const float4 x = reinterpret_cast<const float4*>(args.x)[i];
  static_cast<uint2*>(args.out)[i] = make_uint2(bf16_pair({x.x, x.y}), bf16_pair({x.z, x.w}));
}

}  // namespace

void launch_round_rows(const RoundRowsArgs& args, cudaStream_t stream) {
  if (static_cast<DType>(args.type) == DType::bf16) {
    const int64_t fours = args.rows * args.columns / 4;
    launch(round_rows_to_bf16, blocks_of(fours, kThreads), kThreads, args, stream);
  } else {
    launch(round_rows_to_f16, blocks_of(args.rows, 1), kThreads, args, stream);
  }
}

void launch_round_wide(const RoundWideArgs& args, cudaStream_t stream) {
  launch(round_rows_for_wide, blocks_of(args.rows, 1), kThreads, args, stream);
}

}  // namespace octavo::cuda
