#include "backend/cuda/row_kernels.h"

#include "backend/cuda/activate.cuh"
#include "backend/cuda/launch.cuh"
#include "backend/cuda/numbers.cuh"
#include "backend/cuda/row_scale.cuh"
#include "backend/cuda/type_switch.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kFewThreads = 64;  // of blocks whose work for one row should reach many processors
constexpr int kWarp = 32;

// Blocks for a grid-stride loop over `count` items of one thread each.
unsigned int blocks_for(int64_t count, int threads = kThreads) {
  constexpr int64_t kMost = int64_t{132} * 16 * kThreads;
  return blocks_of(count < kMost ? count : kMost, threads);
}

__device__ int64_t first_item() {
  return int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
}
__device__ int64_t item_step() {
  return int64_t{gridDim.x} * blockDim.x;
}

__device__ int64_t token_of(const EmbedArgs& args, int64_t row) {
  const int32_t token = args.tokens[row];
  return token >= 0 ? token : args.sampled[~token];
}

template <DType type>
__global__ void embed_quantized(EmbedArgs args) {
  follow_previous();
  const int64_t chunks = args.columns / kChunk;
  for (int64_t i = first_item(); i < args.rows * chunks; i += item_step()) {
    const int64_t row = i / chunks;
    const int64_t chunk = i % chunks;
    const Chunk values = decode_chunk<type>(args.table, token_of(args, row) * chunks + chunk);
    float* out = args.out + row * args.columns + chunk * kChunk;
#pragma unroll
    for (int column = 0; column < kChunk; ++column) {
      out[column] = args.scale * chunk_value<type>(values, column);
    }
  }
}

template <class T>
__global__ void embed_dense(EmbedArgs args) {
  follow_previous();
  const T* table = static_cast<const T*>(args.dense);
  for (int64_t i = first_item(); i < args.rows * args.columns; i += item_step()) {
    const int64_t row = i / args.columns;
    const int64_t column = i % args.columns;
    args.out[i] = args.scale * to_float(table[token_of(args, row) * args.columns + column]);
  }
}

// The greatest over all threads of the block.
template <int kCount>
__device__ uint32_t block_max(uint32_t value) {
  __shared__ uint32_t greatest[kCount / kWarp];
  value = __reduce_max_sync(0xFFFFFFFFU, value);
  if (threadIdx.x % kWarp == 0) greatest[threadIdx.x / kWarp] = value;
  __syncthreads();
  for (int warp = 0; warp < kCount / kWarp; ++warp) value = max(value, greatest[warp]);
  return value;
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

__device__ float4 load_four(const float* x, int four) {
  return reinterpret_cast<const float4*>(x)[four];
}
__device__ void store_four(float* x, int four, const float4& value) {
  reinterpret_cast<float4*>(x)[four] = value;
}
__device__ float4 operator+(const float4& a, const float4& b) {
  return {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w};
}
__device__ float4 operator*(const float4& a, float factor) {
  return {a.x * factor, a.y * factor, a.z * factor, a.w * factor};
}
__device__ float4 operator*(const float4& a, const float4& b) {
  return {a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w};
}
__device__ float add_squares(float sum, const float4& a) {
  return fmaf(a.w, a.w, fmaf(a.z, a.z, fmaf(a.y, a.y, fmaf(a.x, a.x, sum))));
}

__device__ uint32_t magnitude(float x) {
  return __float_as_uint(x) & 0x7FFFFFFFU;
}

constexpr int kNormThreads = 1024;
constexpr int kNormFours = 2;  // of four values each, that a thread keeps in registers

// One block a row. The first kNormThreads * kNormFours * 4 values of it are read once.
__global__ void __launch_bounds__(kNormThreads) norm_rows(NormArgs args) {
  let_next_begin();
  const int64_t start = int64_t{blockIdx.x} * args.columns;
  float* x = args.x + start;
  float* out = args.out + start;
  const int fours = args.columns / 4;
  const auto thread = static_cast<int>(threadIdx.x);
  float4 weights[kNormFours];
#pragma unroll
  for (int k = 0; k < kNormFours; ++k) {
    const int i = k * kNormThreads + thread;
    if (i < fours) weights[k] = load_four(args.weight, i);
  }
  wait_for_previous();
  const auto sum_of = [&](int i) {
    float4 value = load_four(x, i);
    if (args.y != nullptr) {
      value = value + load_four(args.y + start, i);
      store_four(x, i, value);
    }
    return value;
  };
  const auto store = [&](int i, const float4& value) {
    store_four(out, i, value);
    if (args.rounded.codes != nullptr) store_rounded(args.rounded, start / 4 + i, value);
  };
  float4 kept[kNormFours];
  float squares = 0.0F;
#pragma unroll
  for (int k = 0; k < kNormFours; ++k) {
    const int i = k * kNormThreads + thread;
    if (i < fours) kept[k] = sum_of(i);
    if (i < fours) squares = add_squares(squares, kept[k]);
  }
  for (int i = kNormFours * kNormThreads + thread; i < fours; i += kNormThreads) {
    squares = add_squares(squares, sum_of(i));
  }
  const float mean = block_sum<kNormThreads>(squares) / static_cast<float>(args.columns);
  const float scale = 1.0F / sqrtf(mean + args.epsilon);
#pragma unroll
  for (int k = 0; k < kNormFours; ++k) {
    const int i = k * kNormThreads + thread;
    if (i < fours) {
      kept[k] = kept[k] * scale * weights[k];
      store(i, kept[k]);
    }
  }
  for (int i = kNormFours * kNormThreads + thread; i < fours; i += kNormThreads) {
    store(i, load_four(x, i) * scale * load_four(args.weight, i));
  }
  if (args.wide == nullptr) return;
  uint32_t greatest = 0;
#pragma unroll
  for (int k = 0; k < kNormFours; ++k) {
    if (k * kNormThreads + thread >= fours) continue;
    for (const float value : {kept[k].x, kept[k].y, kept[k].z, kept[k].w}) {
      greatest = max(greatest, magnitude(value));
    }
  }
  const RowScale row_scale = scale_of(block_max<kNormThreads>(greatest));
#pragma unroll
  for (int k = 0; k < kNormFours; ++k) {
    const int i = k * kNormThreads + thread;
    if (i < fours) {
      store_wide(args.wide, wide_rows(args.rows), blockIdx.x, i, kept[k], row_scale);
    }
  }
  if (thread == 0) args.wide_scales[blockIdx.x] = row_scale.inverse;
}

// One warp a row, for rows as short as a head, and for those that are not whole fours.
__global__ void norm_short_rows(NormArgs args) {
  follow_previous();
  const int64_t row = (int64_t{blockIdx.x} * kThreads + threadIdx.x) / kWarp;
  if (row >= args.rows) return;
  const int lane = threadIdx.x % kWarp;
  float* x = args.x + row * args.columns;
  float* out = args.out + row * args.columns;
  float squares = 0.0F;
  for (int i = lane; i < args.columns; i += kWarp) {
    if (args.y != nullptr) x[i] += args.y[row * args.columns + i];
    squares = fmaf(x[i], x[i], squares);
  }
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    squares += __shfl_xor_sync(0xFFFFFFFFU, squares, offset);
  }
  const float scale = 1.0F / sqrtf(squares / static_cast<float>(args.columns) + args.epsilon);
  for (int i = lane; i < args.columns; i += kWarp) out[i] = x[i] * scale * args.weight[i];
}

__global__ void add_elements(AddArgs args) {
  follow_previous();
  auto* x = reinterpret_cast<float4*>(args.x);
  const auto* y = reinterpret_cast<const float4*>(args.y);
  for (int64_t i = first_item(); i < args.elements / 4; i += item_step()) x[i] = x[i] + y[i];
  const int64_t rest = args.elements / 4 * 4 + first_item();
  if (rest < args.elements) args.x[rest] += args.y[rest];
}

__global__ void scale_and_bias_rows(ScaleAndBiasArgs args) {
  follow_previous();
  for (int64_t i = first_item(); i < args.rows * args.columns; i += item_step()) {
    const float scale = args.scales == nullptr ? 1.0F : args.scales[i / args.columns];
    const float bias = args.bias == nullptr ? 0.0F : args.bias[i % args.columns];
    args.x[i] = fmaf(args.x[i], scale, bias);
  }
}

// Each activation has a kernel, whose code is fetched sooner: in small steps that matters.
template <bool gelu>
__global__ void gate_elements(GateArgs args) {
  follow_previous();
  auto* gate = reinterpret_cast<float4*>(args.gate);
  const auto* up = reinterpret_cast<const float4*>(args.up);
  for (int64_t i = first_item(); i < args.elements / 4; i += item_step()) {
    const float4 x = gate[i];
    const float4 gated =
        float4{activate(x.x, gelu), activate(x.y, gelu), activate(x.z, gelu), activate(x.w, gelu)} *
        up[i];
    gate[i] = gated;
    if (args.rounded.codes != nullptr) store_rounded(args.rounded, i, gated);
  }
  const int64_t rest = args.elements / 4 * 4 + first_item();
  if (rest < args.elements) args.gate[rest] = activate(args.gate[rest], gelu) * args.up[rest];
}

__global__ void round_elements(RoundArgs args) {
  follow_previous();
  const auto* x = reinterpret_cast<const float4*>(args.x);
  for (int64_t i = first_item(); i < args.elements / 4; i += item_step()) {
    store_rounded(args.rounded, i, x[i]);
  }
}

__global__ void soft_cap_elements(SoftCapArgs args) {
  follow_previous();
  const auto cap = static_cast<float>(args.cap);
  for (int64_t i = first_item(); i < args.elements; i += item_step()) {
    args.x[i] = cap * tanhf(args.x[i] / cap);
  }
}

__global__ void gather_rows(GatherArgs args) {
  follow_previous();
  for (int64_t i = first_item(); i < args.count * args.columns; i += item_step()) {
    args.out[i] = args.x[args.rows[i / args.columns] * args.columns + i % args.columns];
  }
}

}  // namespace

void launch_embed(const EmbedArgs& args, cudaStream_t stream) {
  const auto type = static_cast<DType>(args.type);
  if (is_quantized(type)) {
    const unsigned int blocks = blocks_for(args.rows * (args.columns / kChunk));
    for_quantized_type(type, [&]<DType kType>() {
      launch(embed_quantized<kType>, blocks, kThreads, args, stream);
    });
    return;
  }
  const unsigned int blocks = blocks_for(args.rows * args.columns);
  if (type == DType::f32) launch(embed_dense<float>, blocks, kThreads, args, stream);
  if (type == DType::f16) launch(embed_dense<__half>, blocks, kThreads, args, stream);
  if (type == DType::bf16) launch(embed_dense<__nv_bfloat16>, blocks, kThreads, args, stream);
}

void launch_norm(const NormArgs& args, cudaStream_t stream) {
  if (args.columns > 512 && args.columns % 4 == 0) {
    launch(norm_rows, blocks_of(args.rows, 1), kNormThreads, args, stream);
  } else {
    launch(norm_short_rows, blocks_of(args.rows, kThreads / kWarp), kThreads, args, stream);
  }
}

void launch_add(const AddArgs& args, cudaStream_t stream) {
  launch(add_elements, blocks_for(args.elements / 4 + 1), kThreads, args, stream);
}

void launch_scale_and_bias(const ScaleAndBiasArgs& args, cudaStream_t stream) {
  launch(scale_and_bias_rows, blocks_for(args.rows * args.columns), kThreads, args, stream);
}

void launch_gate(const GateArgs& args, cudaStream_t stream) {
  const unsigned int blocks = blocks_for(args.elements / 4 + 1, kFewThreads);
  const auto kernel = args.gelu != 0 ? gate_elements<true> : gate_elements<false>;
  launch(kernel, blocks, kFewThreads, args, stream);
}

void launch_round(const RoundArgs& args, cudaStream_t stream) {
  launch(round_elements, blocks_for(args.elements / 4, kFewThreads), kFewThreads, args, stream);
}

void launch_soft_cap(const SoftCapArgs& args, cudaStream_t stream) {
  launch(soft_cap_elements, blocks_for(args.elements), kThreads, args, stream);
}

void launch_gather(const GatherArgs& args, cudaStream_t stream) {
  launch(gather_rows, blocks_for(args.count * args.columns), kThreads, args, stream);
}

}  // namespace octavo::cuda
