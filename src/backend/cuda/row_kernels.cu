#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "backend/cuda/row_kernels.h"
#include "backend/cuda/type_switch.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarp = 32;

// Blocks for a grid-stride loop over `count` items of one thread each.
unsigned int blocks_for(int64_t count) {
  constexpr int64_t kMost = 132 * 16;
  const int64_t blocks = (count + kThreads - 1) / kThreads;
  return static_cast<unsigned int>(blocks < kMost ? blocks : kMost);
}

__device__ int64_t first_item() {
  return int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
}
__device__ int64_t item_step() {
  return int64_t{gridDim.x} * blockDim.x;
}

template <DType type>
__global__ void embed_quantized(EmbedArgs args) {
  const int64_t chunks = args.columns / kChunk;
  for (int64_t i = first_item(); i < args.rows * chunks; i += item_step()) {
    const int64_t row = i / chunks;
    const int64_t chunk = i % chunks;
    const Chunk values = decode_chunk<type>(args.table, args.tokens[row] * chunks + chunk);
    float* out = args.out + row * args.columns + chunk * kChunk;
#pragma unroll
    for (int column = 0; column < kChunk; ++column) {
      out[column] = args.scale * chunk_value<type>(values, column);
    }
  }
}

__device__ float to_float(float x) {
  return x;
}
__device__ float to_float(__half x) {
  return __half2float(x);
}
__device__ float to_float(__nv_bfloat16 x) {
  return __bfloat162float(x);
}

template <class T>
__global__ void embed_dense(EmbedArgs args) {
  const T* table = static_cast<const T*>(args.dense);
  for (int64_t i = first_item(); i < args.rows * args.columns; i += item_step()) {
    const int64_t row = i / args.columns;
    const int64_t column = i % args.columns;
    args.out[i] = args.scale * to_float(table[args.tokens[row] * args.columns + column]);
  }
}

// The sum over all threads of the block, the same in each, in a fixed order.
template <int kCount>
__device__ float block_sum(float value) {
  __shared__ float sums[kCount / kWarp];
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    value += __shfl_xor_sync(0xFFFFFFFFU, value, offset);
  }
  if (threadIdx.x % kWarp == 0) sums[threadIdx.x / kWarp] = value;
  __syncthreads();
  float total = 0.0F;
  for (int warp = 0; warp < kCount / kWarp; ++warp) total += sums[warp];
  __syncthreads();
  return total;
}

constexpr int kNormThreads = 512;
constexpr int kNormValues = 16;  // of a row that a thread keeps in registers

// One block a row; a row of up to kNormThreads * kNormValues values is read once.
__global__ void __launch_bounds__(kNormThreads) norm_rows(NormArgs args) {
  const int64_t start = int64_t{blockIdx.x} * args.columns;
  float* x = args.x + start;
  float* out = args.out + start;
  float kept[kNormValues];
  float squares = 0.0F;
#pragma unroll
  for (int k = 0; k < kNormValues; ++k) {
    const int i = k * kNormThreads + threadIdx.x;
    kept[k] = i < args.columns ? x[i] : 0.0F;
    if (args.y != nullptr && i < args.columns) {
      kept[k] += args.y[start + i];
      x[i] = kept[k];
    }
    squares = fmaf(kept[k], kept[k], squares);
  }
  for (int i = kNormValues * kNormThreads + threadIdx.x; i < args.columns; i += kNormThreads) {
    float value = x[i];
    if (args.y != nullptr) {
      value += args.y[start + i];
      x[i] = value;
    }
    squares = fmaf(value, value, squares);
  }
  const float mean = block_sum<kNormThreads>(squares) / static_cast<float>(args.columns);
  const float scale = 1.0F / sqrtf(mean + args.epsilon);
#pragma unroll
  for (int k = 0; k < kNormValues; ++k) {
    const int i = k * kNormThreads + threadIdx.x;
    if (i < args.columns) out[i] = kept[k] * scale * args.weight[i];
  }
  for (int i = kNormValues * kNormThreads + threadIdx.x; i < args.columns; i += kNormThreads) {
    out[i] = x[i] * scale * args.weight[i];
  }
}

// One warp a row, for rows as short as a head.
__global__ void norm_short_rows(NormArgs args) {
  const int64_t row = (int64_t{blockIdx.x} * kThreads + threadIdx.x) / kWarp;
  if (row >= args.rows) return;
  const int lane = threadIdx.x % kWarp;
  const float* x = args.x + row * args.columns;
  float* out = args.out + row * args.columns;
  float squares = 0.0F;
  for (int i = lane; i < args.columns; i += kWarp) squares = fmaf(x[i], x[i], squares);
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    squares += __shfl_xor_sync(0xFFFFFFFFU, squares, offset);
  }
  const float scale = 1.0F / sqrtf(squares / static_cast<float>(args.columns) + args.epsilon);
  for (int i = lane; i < args.columns; i += kWarp) out[i] = x[i] * scale * args.weight[i];
}

__global__ void add_elements(AddArgs args) {
  for (int64_t i = first_item(); i < args.elements; i += item_step()) args.x[i] += args.y[i];
}

__global__ void add_bias_rows(AddBiasArgs args) {
  for (int64_t i = first_item(); i < args.rows * args.columns; i += item_step()) {
    args.x[i] += args.bias[i % args.columns];
  }
}

__device__ float silu(float x) {
  return x / (1.0F + expf(-x));
}

__device__ float gelu_tanh(float x) {
  constexpr float kRootTwoOverPi = 0.797884560802865F;
  return 0.5F * x * (1.0F + tanhf(kRootTwoOverPi * (x + 0.044715F * x * x * x)));
}

__global__ void gate_elements(GateArgs args) {
  for (int64_t i = first_item(); i < args.elements; i += item_step()) {
    const float x = args.gate[i];
    args.gate[i] = (args.gelu != 0 ? gelu_tanh(x) : silu(x)) * args.up[i];
  }
}

__global__ void soft_cap_elements(SoftCapArgs args) {
  const auto cap = static_cast<float>(args.cap);
  for (int64_t i = first_item(); i < args.elements; i += item_step()) {
    args.x[i] = cap * tanhf(args.x[i] / cap);
  }
}

__global__ void gather_rows(GatherArgs args) {
  for (int64_t i = first_item(); i < args.count * args.columns; i += item_step()) {
    args.out[i] = args.x[args.rows[i / args.columns] * args.columns + i % args.columns];
  }
}

// Values as integers of the same order, then the column such that the lower wins a tie.
__device__ unsigned long long argmax_key(float value, int64_t column) {
  if (isnan(value)) value = -INFINITY;
  if (value == 0.0F) value = 0.0F;  // -0 is equal to it
  const unsigned int bits = __float_as_uint(value);
  const unsigned int ordered = (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
  return static_cast<unsigned long long>(ordered) << 32 |
         (0xFFFFFFFFU - static_cast<unsigned int>(column));
}

__global__ void clear_best(ArgmaxArgs args) {
  const int64_t row = first_item();
  if (row < args.rows) args.best[row] = 0;
}

// A row is shared by gridDim.y blocks.
__global__ void find_best(ArgmaxArgs args) {
  const int64_t row = blockIdx.x;
  unsigned long long best = 0;
  const int64_t step = int64_t{gridDim.y} * kThreads;
  for (int64_t i = int64_t{blockIdx.y} * kThreads + threadIdx.x; i < args.columns; i += step) {
    const unsigned long long key = argmax_key(args.x[row * args.columns + i], i);
    best = key > best ? key : best;
  }
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    const unsigned long long other = __shfl_xor_sync(0xFFFFFFFFU, best, offset);
    best = other > best ? other : best;
  }
  if (threadIdx.x % kWarp == 0) atomicMax(args.best + row, best);
}

__global__ void write_best(ArgmaxArgs args) {
  const int64_t row = first_item();
  if (row >= args.rows) return;
  args.out[row] =
      static_cast<int32_t>(0xFFFFFFFFU - static_cast<unsigned int>(args.best[row] & 0xFFFFFFFFU));
}

}  // namespace

void launch_embed(const EmbedArgs& args, cudaStream_t stream) {
  const auto type = static_cast<DType>(args.type);
  if (is_quantized(type)) {
    const unsigned int blocks = blocks_for(args.rows * (args.columns / kChunk));
    for_quantized_type(type, [&]<DType kType>() {
      embed_quantized<kType><<<blocks, kThreads, 0, stream>>>(args);
    });
    return;
  }
  const unsigned int blocks = blocks_for(args.rows * args.columns);
  if (type == DType::f32) embed_dense<float><<<blocks, kThreads, 0, stream>>>(args);
  if (type == DType::f16) embed_dense<__half><<<blocks, kThreads, 0, stream>>>(args);
  if (type == DType::bf16) embed_dense<__nv_bfloat16><<<blocks, kThreads, 0, stream>>>(args);
}

void launch_norm(const NormArgs& args, cudaStream_t stream) {
  if (args.columns <= 512 && args.y == nullptr) {
    const int64_t rows_per_block = kThreads / kWarp;
    const auto blocks =
        static_cast<unsigned int>((args.rows + rows_per_block - 1) / rows_per_block);
    norm_short_rows<<<blocks, kThreads, 0, stream>>>(args);
  } else {
    norm_rows<<<static_cast<unsigned int>(args.rows), kNormThreads, 0, stream>>>(args);
  }
}

void launch_add(const AddArgs& args, cudaStream_t stream) {
  add_elements<<<blocks_for(args.elements), kThreads, 0, stream>>>(args);
}

void launch_add_bias(const AddBiasArgs& args, cudaStream_t stream) {
  add_bias_rows<<<blocks_for(args.rows * args.columns), kThreads, 0, stream>>>(args);
}

void launch_gate(const GateArgs& args, cudaStream_t stream) {
  gate_elements<<<blocks_for(args.elements), kThreads, 0, stream>>>(args);
}

void launch_soft_cap(const SoftCapArgs& args, cudaStream_t stream) {
  soft_cap_elements<<<blocks_for(args.elements), kThreads, 0, stream>>>(args);
}

void launch_gather(const GatherArgs& args, cudaStream_t stream) {
  gather_rows<<<blocks_for(args.count * args.columns), kThreads, 0, stream>>>(args);
}

void launch_argmax(const ArgmaxArgs& args, cudaStream_t stream) {
  const auto row_blocks = static_cast<unsigned int>((args.rows + kThreads - 1) / kThreads);
  clear_best<<<row_blocks, kThreads, 0, stream>>>(args);
  const dim3 grid(static_cast<unsigned int>(args.rows), 16);
  find_best<<<grid, kThreads, 0, stream>>>(args);
  write_best<<<row_blocks, kThreads, 0, stream>>>(args);
}

}  // namespace octavo::cuda
