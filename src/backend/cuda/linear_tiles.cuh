// The kernel of linear_tiles.h.
//
// A block of 8 warps multiplies 128 rows of W with kTokens rows of x ("tokens") over a part of k,
// 256 columns a turn: warps 0 to 3 take 32 rows of W each and the first 128 columns, warps 4 to 7
// the same rows and the other 128.
//
//   W: straight from the planes into the registers of the one thread that expands it, two turns
//      ahead. In the 128 columns of a warp, lane t of each quad owns chunk t, whole, with its
//      scales.
//   x: through shared memory, in three stages, copied asynchronously two turns ahead.
//
// mma.m16n8k16 adds over k, so any order of k serves if both operands have it. Step s (0 to 7) of a
// turn takes columns 4s to 4s + 3 of the four chunks: what the instruction calls columns 2t, 2t +
// 1, 2t + 8 and 2t + 9 are the four columns of lane t's chunk, one word of codes and 8 bytes of x.
#pragma once

#include "backend/cuda/launch.cuh"
#include "backend/cuda/linear_tiles.h"
#include "backend/cuda/tile_weights.cuh"

namespace octavo::cuda::tiles {

inline constexpr int kThreads = 256;
inline constexpr int kStages = 3;
inline constexpr int kLineBytes = kTileInner * 2;  // of a token's x in a stage
// Weights of one chunk on their way into the loop: Raw is what is loaded, expand() what is made of
// it. pair(step, p) are columns 4 * step + 2p and the next.
template <DType type>
struct Weights : ExpandedChunk<type> {
  static constexpr bool kAhead = true;  // Raw is small enough to be loaded turns ahead
  using Raw = RawChunk<type>;

  __device__ static Raw load(const LinearTilesArgs& args, int64_t row, int64_t chunk) {
    return load_chunk<type>(args.weight, row * args.weight.chunks + chunk);
  }
};

// Dense weights are read where they are used: a chunk of 64 bytes is too much to hold ahead.
struct DenseWeights {
  static constexpr bool kAhead = false;
  using Raw = const uint2*;

  __device__ static Raw load(const LinearTilesArgs& args, int64_t row, int64_t chunk) {
    const auto* values = static_cast<const uint16_t*>(args.dense) + row * args.inner;
    return reinterpret_cast<const uint2*>(values + chunk * kChunk);
  }
  __device__ void expand(Raw raw, bool valid) {
    for (int step = 0; step < 8; ++step) {
      words_[step] = valid ? __ldg(raw + step) : make_uint2(0, 0);
    }
  }
  __device__ static uint32_t lift() { return 0; }
  __device__ uint32_t pair(int step, int p, uint32_t /*lift*/) const {
    return p == 0 ? words_[step].x : words_[step].y;
  }

 private:
  uint2 words_[8];
};
template <>
struct Weights<DType::f16> : DenseWeights {};
template <>
struct Weights<DType::bf16> : DenseWeights {};

// sums[16 x 8] += a[16 x 16] * b[16 x 8].
template <DType type>
__device__ inline void multiply(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0,
                                uint32_t b1) {
  if constexpr (type == DType::bf16) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  } else {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
}

// Copies 16 bytes to an address in shared memory, zeros where they are not `valid`.
__device__ inline void copy_async(uint32_t to, const void* from, bool valid) {
  const int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes)
               : "memory");
}
__device__ inline void end_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int pending>
__device__ inline void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

// Where 16 bytes of a token's x lie in its line: columns 8u to 8u + 7 of the 128 of a warp. The
// writes (eight u in a row) and the reads (four chunks of two tokens) both reach all banks.
__device__ inline int unit_place(int u, int token) {
  const int t = u / 4;  // chunk
  const int s = u % 4;  // pair of steps
  return (s / 2) * 8 + ((s ^ token) & 1) * 4 + ((t / 2) ^ (s / 2)) * 2 + t % 2;
}

template <DType type, int kTokens>
struct Tile {
  static constexpr int kStageBytes = kTokens * kLineBytes;
  static constexpr int kRowsOfLane = 4;  // of W: lane / 4 + 8m

  const LinearTilesArgs& args;
  uint8_t* shared;
  int64_t token0;
  int64_t output0;
  float sums[2][kTokens / 8][4] = {};  // tiles of 16 rows of W, of 8 tokens

  __device__ int lane() const { return static_cast<int>(threadIdx.x) % 32; }
  __device__ int warp_rows() const { return static_cast<int>(threadIdx.x) / 32 % 4 * 32; }
  __device__ int k_half() const { return static_cast<int>(threadIdx.x) / 128; }

  __device__ int64_t chunk_of_lane(int64_t turn) const {
    return turn * (kTileInner / kChunk) + k_half() * 4 + lane() % 4;
  }

  using Raw = typename Weights<type>::Raw;

  // The lane's chunk of four rows; beyond the matrix another chunk, whose products are not used.
  __device__ void load_weights(int64_t turn, Raw (&raw)[kRowsOfLane]) const {
    const int64_t chunks = args.inner / kChunk;
    const int64_t chunk = chunk_of_lane(turn) < chunks ? chunk_of_lane(turn) : chunks - 1;
#pragma unroll
    for (int m = 0; m < kRowsOfLane; ++m) {
      const int64_t row = output0 + warp_rows() + 8 * m + lane() / 4;
      raw[m] = Weights<type>::load(args, row < args.outputs ? row : args.outputs - 1, chunk);
    }
  }

  __device__ void copy_x(int64_t turn, int stage) const {
    constexpr int kUnits = kLineBytes / 16;
#pragma unroll
    for (int i = static_cast<int>(threadIdx.x); i < kTokens * kUnits; i += kThreads) {
      const int token = i / kUnits;
      const int unit = i % kUnits;
      const int64_t column = turn * kTileInner + unit * 8;
      const bool valid = token0 + token < args.rows && column < args.inner;
      const auto* x = static_cast<const uint16_t*>(args.x);
      const auto* from = valid ? x + (token0 + token) * args.inner + column : x;
      uint8_t* line = shared + stage * kStageBytes + token * kLineBytes + unit / 16 * 256;
      copy_async(
          static_cast<uint32_t>(__cvta_generic_to_shared(line + unit_place(unit % 16, token) * 16)),
          from, valid);
    }
  }

  __device__ void multiply_turn(int64_t turn, int stage, const Raw (&raw)[kRowsOfLane]) {
    const uint32_t lift = Weights<type>::lift();
    Weights<type> weights[kRowsOfLane];
    const bool valid = chunk_of_lane(turn) < args.inner / kChunk;
#pragma unroll
    for (int m = 0; m < kRowsOfLane; ++m) weights[m].expand(raw[m], valid);
    const uint8_t* lines = shared + stage * kStageBytes + k_half() * 256;
#pragma unroll
    for (int pair = 0; pair < 4; ++pair) {
      const int place = unit_place(lane() % 4 * 4 + pair, lane() / 4) * 16;
      uint4 x[kTokens / 8];
#pragma unroll
      for (int n = 0; n < kTokens / 8; ++n) {
        const uint8_t* line = lines + (n * 8 + lane() / 4) * kLineBytes;
        x[n] = *reinterpret_cast<const uint4*>(line + place);
      }
#pragma unroll
      for (int step = 2 * pair; step < 2 * pair + 2; ++step) {
#pragma unroll
        for (int m = 0; m < 2; ++m) {
          const uint32_t a[4] = {
              weights[2 * m].pair(step, 0, lift), weights[2 * m + 1].pair(step, 0, lift),
              weights[2 * m].pair(step, 1, lift), weights[2 * m + 1].pair(step, 1, lift)};
#pragma unroll
          for (int n = 0; n < kTokens / 8; ++n) {
            multiply<type>(sums[m][n], a, step % 2 == 0 ? x[n].x : x[n].z,
                           step % 2 == 0 ? x[n].y : x[n].w);
          }
        }
      }
    }
  }

  // One turn of the loop; `raw` holds its weights and gets those of two turns later.
  __device__ void turn(int64_t now, int64_t first, int64_t last, Raw (&raw)[kRowsOfLane]) {
    wait_for_copies<1>();
    __syncthreads();  // the stage is there for all, and all have left the one that is filled next
    if (now + 2 < last) copy_x(now + 2, static_cast<int>((now + 2 - first) % kStages));
    end_copies();
    const int stage = static_cast<int>((now - first) % kStages);
    if constexpr (Weights<type>::kAhead) {
      Raw current[kRowsOfLane];
#pragma unroll
      for (int m = 0; m < kRowsOfLane; ++m) current[m] = raw[m];
      if (now + 2 < last) load_weights(now + 2, raw);
      multiply_turn(now, stage, current);
    } else {
      load_weights(now, raw);
      multiply_turn(now, stage, raw);
    }
  }

  __device__ void multiply_turns(int64_t first, int64_t last) {
    Raw even[kRowsOfLane];
    Raw odd[kRowsOfLane];
    if constexpr (Weights<type>::kAhead) {
      load_weights(first, even);
      if (first + 1 < last) load_weights(first + 1, odd);
    }
    wait_for_previous();
    copy_x(first, 0);
    end_copies();
    if (first + 1 < last) copy_x(first + 1, 1);
    end_copies();
    for (int64_t now = first; now < last; now += 2) {
      turn(now, first, last, even);
      if (now + 1 < last) turn(now + 1, first, last, odd);
    }
    wait_for_copies<0>();
  }

  // Adds the sums of warps 4 to 7 to those of warps 0 to 3.
  __device__ void join_halves() {
    auto* joined = reinterpret_cast<float*>(shared) + threadIdx.x % 128;
    __syncthreads();
    if (k_half() == 1) each_sum([&](int i, float& sum) { joined[i * 128] = sum; });
    __syncthreads();
    if (k_half() == 0) each_sum([&](int i, float& sum) { sum += joined[i * 128]; });
  }

  // body(i, sum) for the lane's kTokens sums.
  template <class Body>
  __device__ void each_sum(Body&& body) {
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
      for (int n = 0; n < kTokens / 8; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) body((m * (kTokens / 8) + n) * 4 + i, sums[m][n][i]);
      }
    }
  }

  // Adds up the parts of k in ascending order, in the block that comes last; false in the others.
  __device__ bool join_splits() {
    const int64_t tile = int64_t{blockIdx.y} * gridDim.x + blockIdx.x;
    const int64_t split_floats = kTokens * kTileOutputs;
    float* partials =
        static_cast<float*>(args.partials) + tile * gridDim.z * split_floats + threadIdx.x % 128;
    if (k_half() == 0) {
      float* own = partials + blockIdx.z * split_floats;
      each_sum([&](int i, float& sum) { own[i * 128] = sum; });
    }
    __shared__ bool is_last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
      // Wraps to 0 with the last arrival, ready for the next launch.
      is_last = atomicInc(args.arrived + tile, gridDim.z - 1) == gridDim.z - 1;
    }
    __syncthreads();
    if (!is_last) return false;
    __threadfence();
    if (k_half() == 0) {
      each_sum([&](int i, float& sum) { sum = __ldcg(partials + i * 128); });
      for (unsigned int split = 1; split < gridDim.z; ++split) {
        const float* part = partials + split * split_floats;
        each_sum([&](int i, float& sum) { sum += __ldcg(part + i * 128); });
      }
    }
    return true;
  }

  __device__ void store() {
    if (k_half() != 0) return;
    constexpr float kFactor = is_quantized(type) ? 1.0F / kWeightScale : 1.0F;
    each_sum([&](int i, float& sum) {
      const int m = i / (kTokens / 2);
      const int n = i % (kTokens / 2) / 4;
      const int64_t token = token0 + n * 8 + lane() % 4 * 2 + i % 2;
      const int64_t output = output0 + warp_rows() + m * 16 + i % 4 / 2 * 8 + lane() / 4;
      if (token >= args.rows || output >= args.outputs) return;
      float value = sum;
      if constexpr (type != DType::bf16) value *= args.x_scales[token] * kFactor;
      if (args.bias != nullptr) value += args.bias[output];
      args.out[token * args.outputs + output] = value;
    });
  }
};

template <DType type, int kTokens>
__global__ void __launch_bounds__(kThreads, 1)
    multiply_tiles(const __grid_constant__ LinearTilesArgs args) {
  let_next_begin();
  extern __shared__ __align__(128) uint8_t shared[];
  Tile<type, kTokens> tile{args, shared, int64_t{blockIdx.x} * kTokens, blockIdx.y * kTileOutputs};
  const int64_t turns = (args.inner + kTileInner - 1) / kTileInner;
  const int64_t turns_each = (turns + gridDim.z - 1) / gridDim.z;
  const int64_t first = blockIdx.z * turns_each;
  tile.multiply_turns(first, first + turns_each < turns ? first + turns_each : turns);
  tile.join_halves();
  if (gridDim.z > 1 && !tile.join_splits()) return;
  tile.store();
}

template <DType type, int kTokens>
void launch_tile(const LinearTilesArgs& args, cudaStream_t stream) {
  constexpr int kSums = kTokens * kTileOutputs * static_cast<int>(sizeof(float));
  constexpr int kCopies = kStages * Tile<type, kTokens>::kStageBytes;
  constexpr int kShared = kCopies > kSums ? kCopies : kSums;
  cudaFuncSetAttribute(multiply_tiles<type, kTokens>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                       kShared);
  const dim3 grid(static_cast<unsigned int>((args.rows + kTokens - 1) / kTokens),
                  static_cast<unsigned int>((args.outputs + kTileOutputs - 1) / kTileOutputs),
                  static_cast<unsigned int>(linear_tile_splits(args.outputs, args.inner)));
  launch(multiply_tiles<type, kTokens>, grid, kThreads, args, stream, kShared);
}

}  // namespace octavo::cuda::tiles

namespace octavo::cuda {

template <DType type>
void launch_tiles(const LinearTilesArgs& args, cudaStream_t stream) {
  switch (linear_tile_rows(args.rows)) {
    case 8:
      return tiles::launch_tile<type, 8>(args, stream);
    case 32:
      return tiles::launch_tile<type, 32>(args, stream);
    default:
      return tiles::launch_tile<type, 64>(args, stream);
  }
}

}  // namespace octavo::cuda
