#include "backend/cuda/dequantize.h"

#include <cuda_bf16.h>

#include "backend/cuda/launch.cuh"
#include "backend/cuda/type_switch.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarp = 32;
constexpr int kParts = 4;  // of 16 bytes, in the 32 values of a chunk

template <DType type>
__device__ uint32_t pair_of(const Chunk& chunk, int column) {
  const __nv_bfloat162 pair =
      __floats2bfloat162_rn(chunk_value<type>(chunk, column), chunk_value<type>(chunk, column + 1));
  return *reinterpret_cast<const uint32_t*>(&pair);
}

// Where part `part` of a warp's chunk `chunk` waits in shared memory. The parts of a chunk change
// places so that eight threads reach all banks, whether they hold a chunk each or a part each.
__device__ int place(int chunk, int part) {
  return chunk * kParts + (part ^ (chunk >> 1 & 3));
}

// A warp takes 32 chunks that follow each other, one a thread, and through shared memory changes
// whole chunks for parts, so that a warp's store covers 512 bytes without a gap.
template <DType type>
__global__ void __launch_bounds__(kThreads) dequantize_chunks(DequantizeArgs args) {
  follow_previous();
  __shared__ uint4 staged[kThreads / kWarp][kWarp * kParts];
  uint4* parts = staged[threadIdx.x / kWarp];
  const int lane = threadIdx.x % kWarp;
  const int64_t count = args.rows * args.weight.chunks;
  const int64_t first = (int64_t{blockIdx.x} * kThreads + threadIdx.x) - lane;  // of the warp
  if (first + lane < count) {
    const int64_t start = args.first_row * args.weight.chunks;
    const Chunk chunk = decode_chunk<type>(args.weight, start + first + lane);
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      const int column = part * 8;
      parts[place(lane, part)] =
          make_uint4(pair_of<type>(chunk, column), pair_of<type>(chunk, column + 2),
                     pair_of<type>(chunk, column + 4), pair_of<type>(chunk, column + 6));
    }
  }
  __syncwarp();
  auto* out = static_cast<uint4*>(args.out) + first * kParts;
#pragma unroll
  for (int part = lane; part < kWarp * kParts; part += kWarp) {
    if (first + part / kParts < count) out[part] = parts[place(part / kParts, part % kParts)];
  }
}

}  // namespace

void launch_dequantize(const DequantizeArgs& args, cudaStream_t stream) {
  const int64_t count = args.rows * args.weight.chunks;
  for_quantized_type(static_cast<DType>(args.type), [&]<DType kType>() {
    launch(dequantize_chunks<kType>, blocks_of(count, kThreads), kThreads, args, stream);
  });
}

}  // namespace octavo::cuda
