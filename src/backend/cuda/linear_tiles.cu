#include "backend/cuda/linear_tiles.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "backend/cuda/type_switch.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarp = 32;
constexpr uint32_t kInfinityBits = 0x7F800000U;
constexpr int kLargestExponent = 10;  // of a row of f16

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

// One block a row.
__global__ void __launch_bounds__(kThreads) round_rows_to_f16(RoundRowsArgs args) {
  const int64_t fours = args.columns / 4;
  const auto* row = reinterpret_cast<const float4*>(args.x) + blockIdx.x * fours;
  auto* out = static_cast<uint2*>(args.out) + blockIdx.x * fours;
  const uint32_t greatest = greatest_magnitude(row, fours);
  const bool finite = greatest < kInfinityBits;
  // Below 2^-110 the inverse would not be a normal float; such rows are only scaled up as far.
  const int exponent = max(static_cast<int>(greatest >> 23) - 127, -110);
  const float scale = finite ? power_of_two(kLargestExponent - exponent) : 0.0F;
  for (int64_t i = threadIdx.x; i < fours; i += kThreads) {
    const float4 x = finite ? row[i] : make_float4(0.0F, 0.0F, 0.0F, 0.0F);
    const __half2 low = __floats2half2_rn(x.x * scale, x.y * scale);
    const __half2 high = __floats2half2_rn(x.z * scale, x.w * scale);
    out[i] = make_uint2(*reinterpret_cast<const uint32_t*>(&low),
                        *reinterpret_cast<const uint32_t*>(&high));
  }
  if (threadIdx.x == 0) {
    args.scales[blockIdx.x] =
        finite ? power_of_two(exponent - kLargestExponent) : __uint_as_float(0x7FC00000U);
  }
}

__global__ void __launch_bounds__(kThreads) round_rows_to_bf16(RoundRowsArgs args) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= args.rows * args.columns / 4) return;
  const float4 x = reinterpret_cast<const float4*>(args.x)[i];
  const __nv_bfloat162 low = __floats2bfloat162_rn(x.x, x.y);
  const __nv_bfloat162 high = __floats2bfloat162_rn(x.z, x.w);
  static_cast<uint2*>(args.out)[i] = make_uint2(*reinterpret_cast<const uint32_t*>(&low),
                                                *reinterpret_cast<const uint32_t*>(&high));
}

}  // namespace

void launch_round_rows(const RoundRowsArgs& args, cudaStream_t stream) {
  if (static_cast<DType>(args.type) == DType::bf16) {
    const int64_t fours = args.rows * args.columns / 4;
    const auto blocks = static_cast<unsigned int>((fours + kThreads - 1) / kThreads);
    round_rows_to_bf16<<<blocks, kThreads, 0, stream>>>(args);
  } else {
    round_rows_to_f16<<<static_cast<unsigned int>(args.rows), kThreads, 0, stream>>>(args);
  }
}

void launch_linear_tiles(const LinearTilesArgs& args, cudaStream_t stream) {
  const auto type = static_cast<DType>(args.type);
  if (type == DType::f16) return launch_tiles<DType::f16>(args, stream);
  if (type == DType::bf16) return launch_tiles<DType::bf16>(args, stream);
  for_quantized_type(type, [&]<DType kType>() { launch_tiles<kType>(args, stream); });
}

}  // namespace octavo::cuda
