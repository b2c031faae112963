#include "backend/cuda/few_rows.h"

#include "backend/cuda/activate.cuh"
#include "backend/cuda/launch.cuh"
#include "backend/cuda/rope_store.cuh"
#include "backend/cuda/type_switch.h"

namespace octavo::cuda {
namespace {

constexpr int kWarp = 32;
constexpr int kAhead = 2;         // chunks of each row that a lane loads before it needs them
constexpr int kBlockOutputs = 8;  // of a block of threads
constexpr int kPairedOutputs = 2;

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

// Outputs first and first + step of a part.
struct OutputPair {
  int64_t first;
  int64_t step;  // 0 where there is no second output
};

// Pair `index` of a part; where it is turned, dimensions that are turned together.
__device__ OutputPair find_pair(const RopeStoreArgs& rope, int64_t outputs, int64_t index) {
  if (rope.head_dim == 0) return {2 * index, 2 * index + 1 < outputs ? 1 : 0};
  const auto head_pairs = static_cast<uint32_t>(rope.head_dim / 2);
  const uint32_t head = static_cast<uint32_t>(index) / head_pairs;
  const uint32_t i = static_cast<uint32_t>(index) % head_pairs;
  const bool neighbours = rope.interleaved != 0 || i >= static_cast<uint32_t>(rope.pairs);
  return {int64_t{head} * rope.head_dim + (neighbours ? 2 * i : i), neighbours ? 1 : rope.pairs};
}

__device__ float sum_lanes(float sum) {
  for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xFFFFFFFFU, sum, offset);
  return sum;
}

// Gives lane r the sum over all lanes of sums[r].
template <int kRows>
__device__ float sum_of_own_row(const float (&sums)[kRows]) {
  float own = 0.0F;
#pragma unroll
  for (int row = 0; row < kRows; ++row) {
    const float sum = sum_lanes(sums[row]);
    if (threadIdx.x % 32 == row) own = sum;
  }
  return own;
}

__device__ float with_bias(const QuantizedPart& part, int64_t output, float sum) {
  return sum + (part.bias == nullptr ? 0.0F : part.bias[output]);
}

template <class T>
__device__ void store_in_head(const RopeStoreArgs& rope, std::byte* layer, int64_t token,
                              const OutputPair& pair, float2 x) {
  const auto head_dim = static_cast<uint32_t>(rope.head_dim);
  const auto output = static_cast<uint32_t>(pair.first);
  T* at = stored_head<T>(rope, layer, token, output / head_dim) + output % head_dim;
  at[0] = rounded<T>(x.x);
  at[pair.step] = rounded<T>(x.y);
}

// Turns the pair where it is one of q or k, and stores it where it is one of k or v.
__device__ float2 turn_and_store(const RopeStoreArgs& rope, const QuantizedPart& part,
                                 int64_t token, const OutputPair& pair, float2 x) {
  const bool is_value = part.out == rope.v;
  const auto i = static_cast<int32_t>(static_cast<uint32_t>(pair.first) %
                                      static_cast<uint32_t>(rope.head_dim));
  if (!is_value && i < 2 * rope.pairs) {
    const int64_t angle = token * rope.pairs + (rope.interleaved != 0 ? i / 2 : i);
    x = turned(x, rope.cosines[angle], rope.sines[angle]);
  }
  if (part.out == rope.q) return x;
  std::byte* layer = is_value ? rope.values : rope.keys;
  switch (static_cast<DType>(rope.type)) {
    case DType::f16:
      store_in_head<__half>(rope, layer, token, pair, x);
      break;
    case DType::bf16:
      store_in_head<__nv_bfloat16>(rope, layer, token, pair, x);
      break;
    default:
      store_in_head<float>(rope, layer, token, pair, x);
      break;
  }
  return x;
}

// Stores a row's sums of a pair.
__device__ void finish_pair(const RopeStoreArgs& rope, const QuantizedPart& part, int64_t row,
                            const OutputPair& pair, float2 sums) {
  float* out = part.out + row * part.weight.rows + pair.first;
  float2 x = {with_bias(part, pair.first, sums.x), with_bias(part, pair.first + pair.step, sums.y)};
  if (rope.head_dim > 0) x = turn_and_store(rope, part, row, pair, x);
  out[0] = x.x;
  if (pair.step > 0) out[pair.step] = x.y;
}

// Blocks of a multiprocessor at least: with as many registers as the compiler would like to take
// for eight rows, so few warps run that they wait for each other's arithmetic.
constexpr int least_blocks(int rows) {
  return rows == 8 ? 4 : 1;
}

// A warp has kOutputs rows of the weight, a lane every 32nd chunk of them; or, where it gates, a
// row of each of two weights.
template <DType type, int kRows, int kOutputs, bool kGates = false>
__global__ void __launch_bounds__(threads_for(kOutputs), least_blocks(kRows))
    multiply(const __grid_constant__ FewRowsArgs args) {
  let_next_begin();
  constexpr int kOwn = kGates ? 1 : kOutputs;  // rows of a warp in a part
  const PartPlace place = kGates ? PartPlace{0, int64_t{blockIdx.x} * (kBlockOutputs / kOutputs)}
                                 : find_part(args.parts, args.count, blockIdx.x, kBlockOutputs);
  const QuantizedPart& part = args.parts[place.part];
  const QuantizedPart& other = kGates ? args.parts[1] : part;
  const int lane = threadIdx.x % kWarp;
  const int64_t index = place.first_output / kOwn + threadIdx.x / kWarp;
  const OutputPair pair =
      kOwn == 1 ? OutputPair{index, 0} : find_pair(args.rope, part.weight.rows, index);
  if (pair.first >= part.weight.rows) return;
  const int64_t chunks = part.weight.chunks;
  RawChunk<type> raw[kAhead][kOutputs];
  const auto load = [&](int slot, int64_t chunk) {
    if (chunk >= chunks) return;
#pragma unroll
    for (int o = 0; o < kOutputs; ++o) {
      raw[slot][o] = load_chunk<type>((o == 0 ? part : other).weight,
                                      (pair.first + o * pair.step) * chunks + chunk);
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
  const float2 own = {sum_of_own_row(sums[0]), sum_of_own_row(sums[kOutputs - 1])};
  if (lane >= args.rows) return;
  if constexpr (kGates) {
    const float gate = activate(with_bias(part, index, own.x), args.gating == Gating::gelu_tanh);
    part.out[lane * part.weight.rows + index] = gate * with_bias(other, index, own.y);
  } else {
    finish_pair(args.rope, part, lane, pair, own);
  }
}

}  // namespace

void launch_few_rows(const FewRowsArgs& args, cudaStream_t stream) {
  constexpr int kThreads = threads_for(kPairedOutputs);
  const bool gates = args.gating != Gating::none;
  const auto blocks = static_cast<unsigned int>(
      gates ? blocks_of_part(args.parts[0], kBlockOutputs / kPairedOutputs)
            : blocks_of_parts(args.parts, args.count, kBlockOutputs));
  const bool is_long = args.parts[0].weight.chunks >= kLongRow && args.rope.head_dim == 0;
  for_quantized_type(static_cast<DType>(args.type), [&]<DType kType>() {
    const auto launch_for = [&]<int kRows>() {
      if (gates) {
        launch(multiply<kType, kRows, kPairedOutputs, true>, blocks, kThreads, args, stream);
      } else {
        launch(multiply<kType, kRows, kPairedOutputs>, blocks, kThreads, args, stream);
      }
    };
    if (args.rows == 1 && is_long) {
      launch(multiply<kType, 1, 1>, blocks, threads_for(1), args, stream);
    } else if (args.rows == 1) {
      launch_for.template operator()<1>();
    } else if (args.rows == 2) {
      launch_for.template operator()<2>();
    } else if (args.rows <= 4) {
      launch_for.template operator()<4>();
    } else {
      launch_for.template operator()<8>();
    }
  });
}

}  // namespace octavo::cuda
