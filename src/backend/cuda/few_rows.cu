#include "backend/cuda/few_rows.h"
#include "backend/cuda/type_switch.h"

namespace octavo::cuda {
namespace {

constexpr int kWarp = 32;
constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kWarp;
constexpr int kOutputs = 2;  // rows of the weight that a warp multiplies at a time

__device__ float warp_max(float value, int width) {
  for (int offset = width / 2; offset > 0; offset /= 2) {
    value = fmaxf(value, __shfl_xor_sync(0xFFFFFFFFU, value, offset));
  }
  return value;
}

// A warp has a chunk: a lane a value.
__global__ void __launch_bounds__(256) round_to_bytes(RoundToBytesArgs args) {
  const int64_t chunk = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / kWarp;
  if (chunk >= args.rows * args.columns / kChunk) return;
  const int lane = threadIdx.x % kWarp;
  const float x = args.x[chunk * kChunk + lane];
  // NaN counts as infinity.
  const float greatest = warp_max(fabsf(x) < INFINITY ? fabsf(x) : INFINITY, kWarp);
  // Below this, 127 / greatest could overflow.
  const bool usable = greatest >= 0x1p-100F && greatest < INFINITY;
  const float scale = usable ? greatest / 127.0F : (greatest < 1.0F ? 0.0F : greatest);
  const int code = usable ? __float2int_rn(x * (127.0F / greatest)) : 0;
  int sum = code;
  for (int offset = 8; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xFFFFFFFFU, sum, offset);
  const int high_sum = __shfl_sync(0xFFFFFFFFU, sum, 16);
  args.codes[chunk * kChunk + lane] = static_cast<int8_t>(code);
  if (lane == 0) {
    args.chunks[chunk] = {
        scale, {scale * static_cast<float>(sum), scale * static_cast<float>(high_sum)}, 0.0F};
  }
}

// The codes of 32 activations, and the product of a chunk of weights with them.
struct Activations {
  uint4 codes[2];
  float4 chunk;  // a RoundedChunk
};

template <DType type>
__device__ float dot(const Chunk& weight, const Activations& x) {
  constexpr Format kFormat = format_of(type);
  const uint32_t words[8] = {x.codes[0].x, x.codes[0].y, x.codes[0].z, x.codes[0].w,
                             x.codes[1].x, x.codes[1].y, x.codes[1].z, x.codes[1].w};
  float sum = 0.0F;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    int codes = 0;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      codes = __dp4a(static_cast<int>(weight.words[4 * half + j]),
                     static_cast<int>(words[4 * half + j]), codes);
    }
    const float scaled_sum = half == 0 ? x.chunk.y : x.chunk.z;
    // scale * sum((code - offset) * x) + addend * sum(x)
    float product = x.chunk.x * static_cast<float>(codes);
    if constexpr (kFormat.offset != 0) {
      product = fmaf(-static_cast<float>(kFormat.offset), scaled_sum, product);
    }
    sum = fmaf(weight.scale[half], product, sum);
    if constexpr (has_addend(kFormat)) sum = fmaf(weight.addend[half], scaled_sum, sum);
  }
  return sum;
}

// A lane of a warp has every 32nd chunk of kOutputs rows of the weight.
template <DType type, int kRows>
__global__ void __launch_bounds__(kThreads) multiply(FewRowsArgs args) {
  const int64_t warp = int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp;
  const int64_t first = warp * kOutputs;
  if (first >= args.weight.rows) return;
  const int lane = threadIdx.x % kWarp;
  const int64_t chunks = args.weight.chunks;
  const auto outputs = static_cast<int>(min(int64_t{kOutputs}, args.weight.rows - first));
  float sums[kOutputs][kRows] = {};
#pragma unroll 2
  for (int64_t chunk = lane; chunk < chunks; chunk += kWarp) {
    RawChunk<type> raw[kOutputs];
#pragma unroll
    for (int o = 0; o < kOutputs; ++o) {
      // Behind the last row, the last row again: its sum is not written.
      raw[o] = load_chunk<type>(args.weight, (first + min(o, outputs - 1)) * chunks + chunk);
    }
    Activations x[kRows];
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      const int64_t index = min(int64_t{row}, args.rows - 1) * chunks + chunk;
      const auto* codes = reinterpret_cast<const uint4*>(args.codes + index * kChunk);
      x[row].codes[0] = __ldg(codes);
      x[row].codes[1] = __ldg(codes + 1);
      x[row].chunk = __ldg(reinterpret_cast<const float4*>(args.chunks + index));
    }
#pragma unroll
    for (int o = 0; o < kOutputs; ++o) {
      const Chunk weight = decode_chunk(raw[o]);
#pragma unroll
      for (int row = 0; row < kRows; ++row) sums[o][row] += dot<type>(weight, x[row]);
    }
  }
#pragma unroll
  for (int o = 0; o < kOutputs; ++o) {
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      float sum = sums[o][row];
      for (int offset = kWarp / 2; offset > 0; offset /= 2) {
        sum += __shfl_xor_sync(0xFFFFFFFFU, sum, offset);
      }
      if (lane == 0 && o < outputs && row < args.rows) {
        const float bias = args.bias == nullptr ? 0.0F : args.bias[first + o];
        args.out[row * args.weight.rows + first + o] = sum + bias;
      }
    }
  }
}

}  // namespace

void launch_round_to_bytes(const RoundToBytesArgs& args, cudaStream_t stream) {
  constexpr int64_t kChunksPerBlock = 256 / kWarp;
  const int64_t chunks = args.rows * args.columns / kChunk;
  const auto blocks = static_cast<unsigned int>((chunks + kChunksPerBlock - 1) / kChunksPerBlock);
  round_to_bytes<<<blocks, 256, 0, stream>>>(args);
}

void launch_few_rows(const FewRowsArgs& args, cudaStream_t stream) {
  constexpr int64_t kOutputsPerBlock = kWarps * kOutputs;
  const auto blocks =
      static_cast<unsigned int>((args.weight.rows + kOutputsPerBlock - 1) / kOutputsPerBlock);
  for_quantized_type(static_cast<DType>(args.type), [&]<DType kType>() {
    if (args.rows == 1) return multiply<kType, 1><<<blocks, kThreads, 0, stream>>>(args);
    if (args.rows == 2) return multiply<kType, 2><<<blocks, kThreads, 0, stream>>>(args);
    if (args.rows <= 4) return multiply<kType, 4><<<blocks, kThreads, 0, stream>>>(args);
    multiply<kType, 8><<<blocks, kThreads, 0, stream>>>(args);
  });
}

}  // namespace octavo::cuda
