// The kernel of wide_tiles.h.
//
// A block of two groups of four warps multiplies 128 rows of W with kTokens rows of x ("tokens")
// over a part of k, 128 columns a turn. A group has 64 rows of W, a warp 16, a lane two of them,
// lane / 4 and eight below.
//
//   W: straight from memory into the registers of the lane that expands it, two turns ahead, or
//      one where it is dense. In the 128 columns of a turn, lane t of each quad owns chunk t,
//      whole, with its scales.
//   x: through shared memory, in the layout that the instruction reads: lines of 64 columns (128
//      bytes), the 16-byte units of a line exchanged by the line's number modulo 8. It has that
//      layout in global memory already (launch_round_wide()), so that one thread has a stage filled
//      by two bulk copies, which arrive at the stage's barrier.
//
// wgmma adds over 16 k at once, so any order of k serves if both operands have it. Step s (0 to 7)
// of a turn takes columns 4s to 4s + 3 of the four chunks: what the instruction calls columns 2t,
// 2t + 1, 2t + 8 and 2t + 9 of W are the four columns of lane t's chunk. launch_round_wide() puts x
// in that order, too.
//
// The instruction runs while the warp expands the weights of the next four steps. Warps wait for
// each other only through the stages' barriers, so that one expands while another multiplies.
#pragma once

#include "backend/cuda/launch.cuh"
#include "backend/cuda/round_rows.h"
#include "backend/cuda/tile_weights.cuh"
#include "backend/cuda/warpgroup_products.cuh"
#include "backend/cuda/wide_tiles.h"

namespace octavo::cuda::tiles {

inline constexpr int kWideThreads = 256;
inline constexpr int kLineColumns = 64;
inline constexpr int kWideLineBytes = kLineColumns * 2;
inline constexpr int kBatch = 4;  // steps that are begun together

// A barrier in shared memory at which threads arrive, and copies with their bytes. Others wait for
// the phase with a parity: 0 the first time that all have come, then 1, and so on.
__device__ inline void make_barrier(uint32_t barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
__device__ inline void arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
__device__ inline void show_barriers() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ inline void expect_bytes(uint32_t barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}
__device__ inline void wait_for_phase(uint32_t barrier, uint32_t parity) {
  asm volatile(
      "{.reg .pred done;\n"
      "again: mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again;}" ::"r"(barrier),
      "r"(parity)
      : "memory");
}
__device__ inline void copy_bulk(uint32_t to, const void* from, int bytes, uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(to),
      "l"(from), "r"(bytes), "r"(barrier)
      : "memory");
}

// The weights of a chunk, on their way to the registers that are multiplied.
template <DType type>
struct WideWeights : ExpandedChunk<type> {
  static constexpr int kTurnsAhead = 2;  // that they are loaded before they are used
  using Raw = RawChunk<type>;

  __device__ static Raw load(const QuantizedView& weight, uint32_t index) {
    return load_chunk<type>(weight, index);
  }
};

// Dense ones are multiplied as they are.
struct DenseWideWeights {
  static constexpr int kTurnsAhead = 1;
  using Raw = Words<kChunk / 2>;

  __device__ static Raw load(const QuantizedView& weight, uint32_t index) {
    return load_words<kChunk / 2>(weight.codes + int64_t{index} * sizeof(Raw));
  }
  __device__ void expand(const Raw& raw, bool valid) {
#pragma unroll
    for (int i = 0; i < kChunk / 2; ++i) words_.word[i] = valid ? raw.word[i] : 0;
  }
  __device__ static uint32_t lift() {
    return 0;
  }
  __device__ uint32_t pair(int step, int p, uint32_t /*lift*/) const {
    return words_.word[2 * step + p];
  }

 private:
  Raw words_;
};
template <>
struct WideWeights<DType::f16> : DenseWideWeights {};
template <>
struct WideWeights<DType::bf16> : DenseWideWeights {};

// Sums that a block adds up itself, part by part.
template <bool kFolds, int kProducts, int kEach>
struct FoldedSums {
  // Minus zero, so that the first part stays what it is.
  __device__ FoldedSums() {
#pragma unroll
    for (auto& of_product : values) {
#pragma unroll
      for (float& value : of_product) value = -0.0F;
    }
  }
  float values[kProducts][kEach];
};
template <int kProducts, int kEach>
struct FoldedSums<false, kProducts, kEach> {};

template <DType type, int kTokens, bool kFolds>
struct WideTile {
  static constexpr int kProductTokens = kTokens < 128 ? kTokens : 128;  // of one instruction
  static constexpr int kProducts = kTokens / kProductTokens;
  static constexpr int kStages = kTokens > 128 ? 3 : 4;
  static constexpr int kStageBytes = kTokens * static_cast<int>(kWideGroup) * 2;
  static constexpr int kLinesBytes = kTokens * kWideLineBytes;  // of 64 columns of all tokens
  // Blocks of a multiprocessor: as many as have registers.
  static constexpr int kMinBlocks = kTokens > (is_quantized(type) ? 64 : 16) ? 1 : 2;

  const WideTilesArgs& args;
  const QuantizedPart& part;
  uint32_t shared;  // stages, at a multiple of 1,024
  uint32_t
      barriers;  // for each stage one of its bytes, then for each one of those who have read it
  int64_t token0;
  int64_t output0;
  int chunks;             // of a row of W
  uint32_t row_chunk[2];  // where the lane's rows of W begin
  uint32_t lift;          // WideWeights::lift()
  float sums[kProducts][kProductTokens / 2] = {};
  FoldedSums<kFolds, kProducts, kProductTokens / 2> folded;

  using Weights = WideWeights<type>;
  using Raw = typename Weights::Raw;

  __device__ WideTile(const WideTilesArgs& args, const QuantizedPart& part, uint32_t shared,
                      uint32_t barriers, int64_t token0, int64_t output0)
      : args(args),
        part(part),
        shared(shared),
        barriers(barriers),
        token0(token0),
        output0(output0),
        chunks(static_cast<int>(part.weight.chunks)),
        lift(Weights::lift()) {
#pragma unroll
    for (int m = 0; m < 2; ++m) {
      const int64_t row = min(output_of_lane() + 8 * m, part.weight.rows - 1);
      row_chunk[m] = static_cast<uint32_t>(row * part.weight.chunks);
    }
  }

  __device__ static int thread() {
    return static_cast<int>(threadIdx.x);
  }
  __device__ static int lane() {
    return thread() % 32;
  }
  // The first of the lane's two outputs.
  __device__ int64_t output_of_lane() const {
    return output0 + thread() / 32 * 16 + lane() / 4;
  }
  // The lane's chunk of a turn, which may lie behind the last.
  __device__ static int chunk_of_lane(int turn) {
    return turn * 4 + lane() % 4;
  }

  // Behind the last turn or chunk, the last once more.
  __device__ void load_weights(int turn, int last, Raw (&raw)[2]) const {
    const int chunk = min(chunk_of_lane(min(turn, last - 1)), chunks - 1);
#pragma unroll
    for (int m = 0; m < 2; ++m) {
      raw[m] = Weights::load(part.weight, row_chunk[m] + static_cast<uint32_t>(chunk));
    }
  }

  __device__ uint32_t filled(uint32_t stage) const {
    return barriers + stage * 8;
  }
  __device__ uint32_t emptied(uint32_t stage) const {
    return barriers + (kStages + stage) * 8;
  }

  // Has the stage of the turn filled, by one thread; `count` turns were before it.
  __device__ void copy_x(int turn, int last, uint32_t count) const {
    if (turn >= last || thread() != 0) return;
    const uint32_t stage = count % kStages;
    if (count >= kStages) wait_for_phase(emptied(stage), (count / kStages - 1) % 2);
    const uint32_t barrier = filled(stage);
    const uint32_t to = shared + stage * kStageBytes;
    expect_bytes(barrier, kStageBytes);
#pragma unroll
    for (int lines = 0; lines < 2; ++lines) {
      const int64_t line = (int64_t{turn} * 2 + lines) * wide_rows(args.rows) + token0;
      copy_bulk(to + static_cast<uint32_t>(lines * kLinesBytes),
                static_cast<const char*>(args.x) + line * kWideLineBytes, kLinesBytes, barrier);
    }
  }

  __device__ void multiply_turn(uint32_t count, const Weights (&weights)[2]) {
    const uint32_t stage = count % kStages;
    // Addresses are in units of 16 bytes; an increment never carries beyond its field.
    const uint64_t first = describe_lines(shared) + stage * (kStageBytes / 16);
#pragma unroll
    for (int batch = 0; batch < 8 / kBatch; ++batch) {
      uint32_t a[kBatch][4];
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        const int step = batch * kBatch + i;
        a[i][0] = weights[0].pair(step, 0, lift);
        a[i][1] = weights[1].pair(step, 0, lift);
        a[i][2] = weights[0].pair(step, 1, lift);
        a[i][3] = weights[1].pair(step, 1, lift);
      }
      begin_products();
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
#pragma unroll
        for (int n = 0; n < kProducts; ++n) {
          constexpr int kProductBytes = kProductTokens * kWideLineBytes;
          const int offset = batch * kLinesBytes + i * 32 + n * kProductBytes;
          multiply_async<type>(sums[n], a[i], first + static_cast<uint64_t>(offset / 16));
        }
      }
      end_products();
      // The registers of the batch before are free again, and so is the stage of the turn before.
      wait_for_products<1>();
      if (batch == 0 && count > 0 && lane() == 0) arrive(emptied((count - 1) % kStages));
    }
  }

  // One turn of the loop; `raw` holds its weights and gets those of a later turn.
  __device__ void turn(int now, int first, int last, Raw (&raw)[2]) {
    constexpr int kCopiesAhead = kStages - 2;
    const auto count = static_cast<uint32_t>(now - first);
    copy_x(now + kCopiesAhead, last, count + kCopiesAhead);
    __syncwarp();
    Weights weights[2];
#pragma unroll
    for (int m = 0; m < 2; ++m) weights[m].expand(raw[m], chunk_of_lane(now) < chunks);
    load_weights(now + Weights::kTurnsAhead, last, raw);
    wait_for_phase(filled(count % kStages), count / kStages % 2);
    multiply_turn(count, weights);
  }

  // Ends a part of the sum: adds it to those before.
  __device__ void fold() {
    wait_for_products<0>();
#pragma unroll
    for (int n = 0; n < kProducts; ++n) {
#pragma unroll
      for (int i = 0; i < kProductTokens / 2; ++i) {
        folded.values[n][i] += sums[n][i];
        sums[n][i] = 0.0F;
      }
    }
  }

  // `turns_each`: of a part of the sum, where several are folded.
  __device__ void multiply_turns(int first, int last, int turns_each) {
    if (first >= last) return wait_for_previous();
    if (thread() == 0) {
      for (uint32_t stage = 0; stage < kStages; ++stage) {
        make_barrier(filled(stage), 1);
        make_barrier(emptied(stage), kWideThreads / 32);
      }
      show_barriers();
    }
    __syncthreads();
    Raw raw[Weights::kTurnsAhead][2];
#pragma unroll
    for (int i = 0; i < Weights::kTurnsAhead; ++i) load_weights(first + i, last, raw[i]);
    wait_for_previous();
#pragma unroll
    for (int i = 0; i < kStages - 2; ++i) copy_x(first + i, last, static_cast<uint32_t>(i));
    int end = first + turns_each;
    for (int now = first; now < last; now += Weights::kTurnsAhead) {
#pragma unroll
      for (int i = 0; i < Weights::kTurnsAhead; ++i) {
        if (now + i >= last) break;
        turn(now + i, first, last, raw[i]);
        if constexpr (kFolds) {
          if (now + i + 1 != end && now + i + 1 != last) continue;
          end += turns_each;
          fold();
        }
      }
    }
    wait_for_products<0>();
    if constexpr (kFolds) {
      each_sum([&](int i, float& sum) {
        sum = folded.values[i / (kProductTokens / 2)][i % (kProductTokens / 2)];
      });
    }
  }

  // body(i, sum) for the lane's kTokens / 2 sums.
  template <class Body>
  __device__ void each_sum(Body&& body) {
#pragma unroll
    for (int n = 0; n < kProducts; ++n) {
#pragma unroll
      for (int i = 0; i < kProductTokens / 2; ++i) body(n * (kProductTokens / 2) + i, sums[n][i]);
    }
  }

  // Sum i of the lane.
  __device__ void store(int i, float sum) const {
    const int64_t token = token0 + i / 4 * 8 + lane() % 4 * 2 + i % 2;
    const int64_t output = output_of_lane() + i % 4 / 2 * 8;
    if (token >= args.rows || output >= part.weight.rows) return;
    const float bias = part.bias == nullptr ? 0.0F : part.bias[output];
    float scale = is_quantized(type) ? 1.0F / kWeightScale : 1.0F;
    if constexpr (type != DType::bf16) scale *= args.x_scales[token];
    part.out[token * part.weight.rows + output] = fmaf(sum, scale, bias);
  }

  // Adds up the parts of k in ascending order, in the block that comes last; false in the others.
  __device__ bool join_splits() {
    const int64_t tile = int64_t{blockIdx.y} * gridDim.x + blockIdx.x;
    constexpr int64_t kSplitFloats = kTokens * kWideOutputs;
    float* partials =
        static_cast<float*>(args.partials) + tile * gridDim.z * kSplitFloats + thread();
    float* own = partials + blockIdx.z * kSplitFloats;
    each_sum([&](int i, float& sum) { own[i * kWideThreads] = sum; });
    __shared__ bool is_last;
    __threadfence();
    __syncthreads();
    if (thread() == 0) {
      // Wraps to 0 with the last arrival, ready for the next launch.
      is_last = atomicInc(args.arrived + tile, gridDim.z - 1) == gridDim.z - 1;
    }
    __syncthreads();
    if (!is_last) return false;
    __threadfence();
    each_sum([&](int i, float& sum) { sum = __ldcg(partials + i * kWideThreads); });
    for (unsigned int split = 1; split < gridDim.z; ++split) {
      const float* other = partials + split * kSplitFloats;
      each_sum([&](int i, float& sum) { sum += __ldcg(other + i * kWideThreads); });
    }
    return true;
  }
};

struct CutArgs {
  WideTilesArgs args;
  int64_t turns_each;  // of a part of the sum
};

template <DType type, int kTokens, bool kFolds>
__global__ void __launch_bounds__(kWideThreads, (WideTile<type, kTokens, kFolds>::kMinBlocks))
    multiply_wide(const __grid_constant__ CutArgs cut) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL  // never launched elsewhere
  using Tile = WideTile<type, kTokens, kFolds>;
  const WideTilesArgs& args = cut.args;
  let_next_begin();
  extern __shared__ __align__(1024) uint8_t wide_memory[];
  __shared__ uint64_t barriers[2 * Tile::kStages];
  const auto shared = static_cast<uint32_t>(__cvta_generic_to_shared(wide_memory));
  const PartPlace place = find_part(args.parts, args.count, blockIdx.y, kWideOutputs);
  Tile tile(args, args.parts[place.part], shared,
            static_cast<uint32_t>(__cvta_generic_to_shared(barriers)),
            int64_t{blockIdx.x} * kTokens, place.first_output);
  const auto turns = static_cast<int>(wide_groups(args.inner));
  const auto turns_each = static_cast<int>(cut.turns_each);
  const int first = static_cast<int>(blockIdx.z) * turns_each;
  tile.multiply_turns(first, kFolds ? turns : min(first + turns_each, turns), turns_each);
  if (gridDim.z > 1 && !tile.join_splits()) return;
  tile.each_sum([&](int i, float& sum) { tile.store(i, sum); });
#endif
}

template <DType type, int kTokens, bool kFolds = false>
void launch_wide_tile(const WideTilesArgs& args, const WideCut& cut, cudaStream_t stream) {
  using Tile = WideTile<type, kTokens, kFolds>;
  constexpr int kShared = Tile::kStages * Tile::kStageBytes;
  constexpr auto kKernel = multiply_wide<type, kTokens, kFolds>;
  cudaFuncSetAttribute(kKernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kShared);
  const dim3 grid(static_cast<unsigned int>(cut.row_tiles),
                  static_cast<unsigned int>(cut.output_tiles),
                  static_cast<unsigned int>(cut.splits));
  // Blocks that begin early crowd the multiprocessors where room is free first, and that is where
  // they stay: as few as there are, they should be spread evenly.
  launch(kKernel, grid, kWideThreads, CutArgs{args, cut.turns_each}, stream, kShared,
         Overlap::none);
}

}  // namespace octavo::cuda::tiles

namespace octavo::cuda {

template <DType type>
void launch_wide(const WideTilesArgs& args, cudaStream_t stream) {
  const WideCut cut = cut_wide_tiles(args);
  switch (cut.tile_rows) {
    case 16:
      return tiles::launch_wide_tile<type, 16>(args, cut, stream);
    case 64:
      return tiles::launch_wide_tile<type, 64>(args, cut, stream);
    case 128:
      return cut.splits < cut.cuts ? tiles::launch_wide_tile<type, 128, true>(args, cut, stream)
                                   : tiles::launch_wide_tile<type, 128>(args, cut, stream);
    default:
      if constexpr (is_quantized(type)) tiles::launch_wide_tile<type, 256>(args, cut, stream);
  }
}

}  // namespace octavo::cuda
