#include "backend/cuda/few_rows.h"

#include "backend/cuda/launch.cuh"
#include "backend/cuda/type_switch.h"

namespace octavo::cuda {
namespace {

constexpr int kWarp = 32;
constexpr int kAhead = 2;         // chunks of each row that a lane loads before it needs them
constexpr int kBlockOutputs = 8;  // of a block of threads
constexpr int kPairedOutputs = 2;
// From here on rows are so long that a warp is better off with one at a time.
constexpr int64_t kLongRow = 256;  // chunks

constexpr int threads_for(int outputs) {
  return kBlockOutputs / outputs * kWarp;
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

// A warp has kOutputs rows of the weight, a lane every 32nd chunk of them.
template <DType type, int kRows, int kOutputs>
__global__ void __launch_bounds__(threads_for(kOutputs))
    multiply(const __grid_constant__ FewRowsArgs args) {
  let_next_begin();
  const PartPlace place = find_part(args.parts, args.count, blockIdx.x, kBlockOutputs);
  const QuantizedPart& part = args.parts[place.part];
  const int lane = threadIdx.x % kWarp;
  const int64_t first = place.first_output + threadIdx.x / kWarp * kOutputs;
  if (first >= part.weight.rows) return;
  const int64_t chunks = part.weight.chunks;
  // Behind the last row, the last row again: its sum is not written.
  const auto outputs = static_cast<int>(min(int64_t{kOutputs}, part.weight.rows - first));
  RawChunk<type> raw[kAhead][kOutputs];
  const auto load = [&](int slot, int64_t chunk) {
    if (chunk >= chunks) return;
#pragma unroll
    for (int o = 0; o < kOutputs; ++o) {
      raw[slot][o] = load_chunk<type>(part.weight, (first + min(o, outputs - 1)) * chunks + chunk);
    }
  };
#pragma unroll
  for (int slot = 0; slot < kAhead; ++slot) load(slot, lane + slot * kWarp);
  wait_for_previous();
  float sums[kOutputs][kRows] = {};
  for (int64_t start = lane; start < chunks; start += kAhead * kWarp) {
#pragma unroll
    for (int slot = 0; slot < kAhead; ++slot) {
      const int64_t chunk = start + slot * kWarp;
      if (chunk >= chunks) break;
      Chunk weights[kOutputs];
#pragma unroll
      for (int o = 0; o < kOutputs; ++o) weights[o] = decode_chunk(raw[slot][o]);
      load(slot, chunk + kAhead * kWarp);
#pragma unroll
      for (int row = 0; row < kRows; ++row) {
        const int64_t index = min(int64_t{row}, args.rows - 1) * chunks + chunk;
        const auto* codes = reinterpret_cast<const uint4*>(args.x.codes + index * kChunk);
        const Activations x = {{__ldg(codes), __ldg(codes + 1)},
                               __ldg(reinterpret_cast<const float4*>(args.x.chunks + index))};
#pragma unroll
        for (int o = 0; o < kOutputs; ++o) sums[o][row] += dot<type>(weights[o], x);
      }
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
        const float bias = part.bias == nullptr ? 0.0F : part.bias[first + o];
        part.out[row * part.weight.rows + first + o] = sum + bias;
      }
    }
  }
}

}  // namespace

void launch_few_rows(const FewRowsArgs& args, cudaStream_t stream) {
  const auto blocks =
      static_cast<unsigned int>(blocks_of_parts(args.parts, args.count, kBlockOutputs));
  const bool is_long = args.parts[0].weight.chunks >= kLongRow;
  for_quantized_type(static_cast<DType>(args.type), [&]<DType kType>() {
    constexpr int kThreads = threads_for(kPairedOutputs);
    if (args.rows == 1 && is_long) {
      return launch(multiply<kType, 1, 1>, blocks, threads_for(1), args, stream);
    }
    if (args.rows == 1) {
      return launch(multiply<kType, 1, kPairedOutputs>, blocks, kThreads, args, stream);
    }
    if (args.rows == 2) {
      return launch(multiply<kType, 2, kPairedOutputs>, blocks, kThreads, args, stream);
    }
    if (args.rows <= 4) {
      return launch(multiply<kType, 4, kPairedOutputs>, blocks, kThreads, args, stream);
    }
    launch(multiply<kType, 8, kPairedOutputs>, blocks, kThreads, args, stream);
  });
}

}  // namespace octavo::cuda
