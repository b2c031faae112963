// The parts of attention on tensor cores: keys and values on their way through shared memory, the
// products of tiles, and the arithmetic of the softmax that goes with them. Device code only.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "backend/cuda/attention_state.h"

namespace octavo::cuda {

inline constexpr unsigned int kAllLanes = 0xFFFFFFFFU;
inline constexpr int kGroupKeys = 16;  // consecutive keys that lie in one block
inline constexpr int kSegmentGroups = kSegmentKeys / kGroupKeys;
inline constexpr int kUnitBytes = 16;  // of an asynchronous copy

template <int D>
struct Layout {
  // Keys of a step: as many as leave room in registers for the values of a long head.
  static constexpr int kTileKeys = D <= 128 ? 64 : 32;
  static constexpr int kTileGroups = kTileKeys / kGroupKeys;
  static constexpr int kSlots = D <= 128 ? 4 : 3;  // of kTileKeys keys or values
  // A row is padded by one unit: its length is an odd number of units, so that eight rows begin in
  // different banks.
  static constexpr int kRowUnits = D * 2 / kUnitBytes;
  static constexpr int kRowBytes = D * 2 + kUnitBytes;
  static constexpr int kSlotBytes = kTileKeys * kRowBytes;
  static constexpr int kSharedBytes = kSlots * kSlotBytes;
};

__device__ inline int lane_id() {
  return static_cast<int>(threadIdx.x) % kWarp;
}

__device__ inline void copy_unit(uint32_t to, const std::byte* from, bool wanted) {
  // What is not wanted becomes zeros, and is not read.
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
               "r"(wanted ? kUnitBytes : 0)
               : "memory");
}

__device__ inline void load_matrices(uint32_t (&out)[4], uint32_t from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(from)
               : "memory");
}

__device__ inline void load_transposed(uint32_t (&out)[4], uint32_t from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(from)
               : "memory");
}

// The 16-bit type of a store: two numbers in a register, and the product of tiles.
template <class T>
struct Numbers;

template <>
struct Numbers<__half> {
  __device__ static uint32_t pack(float low, float high) {
    const __half2 pair = __floats2half2_rn(low, high);
    return *reinterpret_cast<const uint32_t*>(&pair);
  }
  // sums [16, 8] += a [16, 16] * b [16, 8].
  __device__ static void multiply(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0,
                                  uint32_t b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
};

template <>
struct Numbers<__nv_bfloat16> {
  __device__ static uint32_t pack(float low, float high) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<const uint32_t*>(&pair);
  }
  __device__ static void multiply(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0,
                                  uint32_t b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
};

// The keys and values of an item on their way through shared memory: of each tile of keys first the
// keys, then the values. kSlots - 1 of these chunks are under way while one is worked on. All of
// the thread block takes part.
template <int D>
class KvStream {
 public:
  using Memory = Layout<D>;
  static constexpr int kTileKeys = Memory::kTileKeys;
  static constexpr int kSlots = Memory::kSlots;

  // Streams the tiles [first_tile, last_tile); keys that the item does not see are zeros.
  __device__ KvStream(const AttentionArgs& args, const AttentionItem& item, int kv_head,
                      int first_tile, int last_tile, uint32_t shared)
      : kv_(args.kv),
        table_(args.tables.blocks + item.first_block),
        kv_head_(kv_head),
        first_key_(item.first_key),
        last_key_(item.last_key),
        tile_(first_tile),
        last_tile_(last_tile),
        segment_(first_tile * kTileKeys / kSegmentKeys),
        shared_(shared),
        group_offset_(find_group(segment_)),
        next_group_offset_(find_group(segment_ + 1)) {
#pragma unroll 1
    for (int i = 0; i < kSlots - 1; ++i) request();
  }

  // Where the next chunk is in shared memory, until the next call.
  __device__ uint32_t next() {
    asm volatile("cp.async.wait_group %0;" ::"n"(kSlots - 2) : "memory");
    // Now everybody's part of this chunk is there, and everybody is done with the chunk before,
    // whose slot takes the next request.
    __syncthreads();
    request();
    const uint32_t chunk = shared_ + static_cast<uint32_t>(read_slot_ * Memory::kSlotBytes);
    read_slot_ = read_slot_ + 1 == kSlots ? 0 : read_slot_ + 1;
    return chunk;
  }

 private:
  // Each lane looks up where one group of a segment's keys begins, from a layer's K or V in block
  // 0.
  __device__ int64_t find_group(int segment) const {
    const int key = segment * kSegmentKeys + lane_id() % kSegmentGroups * kGroupKeys;
    // The table need not have blocks for keys that nobody sees.
    if (key + kGroupKeys <= first_key_ || key >= last_key_) return 0;
    const int64_t row = int64_t{kv_head_} * kv_.block_size + key % kv_.block_size;
    return table_[key / kv_.block_size] * kv_.block_bytes + row * (D * 2);
  }

  __device__ void request() {
    if (tile_ < last_tile_) {
      const int segment = tile_ * kTileKeys / kSegmentKeys;
      if (segment != segment_) {
        segment_ = segment;
        group_offset_ = next_group_offset_;
        next_group_offset_ = find_group(segment + 1);
      }
      request_chunk();
      if (is_values_) ++tile_;
      is_values_ = !is_values_;
      write_slot_ = write_slot_ + 1 == kSlots ? 0 : write_slot_ + 1;
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  }

  __device__ void request_chunk() const {
    constexpr int kThreads = kBlockWarps * kWarp;
    constexpr int kUnits = kTileKeys * Memory::kRowUnits;
    static_assert(kUnits % kThreads == 0);
    const auto thread = static_cast<int>(threadIdx.x);
    const int first = tile_ * kTileKeys;
    const std::byte* from = kv_.memory + (is_values_ ? kv_.value_offset : kv_.key_offset);
    const uint32_t to = shared_ + static_cast<uint32_t>(write_slot_ * Memory::kSlotBytes);
#pragma unroll
    for (int i = 0; i < kUnits / kThreads; ++i) {
      const int row = (thread + i * kThreads) / Memory::kRowUnits;
      const int unit = (thread + i * kThreads) % Memory::kRowUnits;
      const int key = first + row;
      const int64_t group =
          __shfl_sync(kAllLanes, group_offset_, key / kGroupKeys % kSegmentGroups);
      copy_unit(to + static_cast<uint32_t>(row * Memory::kRowBytes + unit * kUnitBytes),
                from + group + key % kGroupKeys * (D * 2) + unit * kUnitBytes,
                key >= first_key_ && key < last_key_);
    }
  }

  const KvView& kv_;
  const int32_t* table_;
  int kv_head_;
  int first_key_;
  int last_key_;
  int tile_;                // of the next request
  int last_tile_;           // one past
  int segment_;             // of tile_
  bool is_values_ = false;  // of the next request
  int write_slot_ = 0;
  int read_slot_ = 0;
  uint32_t shared_;
  int64_t group_offset_;       // in segment_
  int64_t next_group_offset_;  // in the segment after it
};

// 16 pairs of an item, as the lanes of a warp hold them: their queries, scaled and rounded, and
// what keys they see. A lane holds two rows of a tile of 16, lane / 4 and eight below it, and of
// every eight columns two, from lane % 4 * 2 on: elements 0 and 1 are of the first row, 2 and 3 of
// the second.
template <class T, int D>
class Queries {
 public:
  static constexpr int kRowBytes = Layout<D>::kRowBytes;

  __device__ Queries(const AttentionArgs& args, const AttentionItem& item, int first_pair,
                     int kv_head)
      : soft_cap_(args.soft_cap) {
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      pair_[row] = first_pair + lane_id() / 4 + 8 * row;
      // Rows behind the last pair compute what it does, for nothing.
      place_[row] = place_pair(args, item, min(pair_[row], item.pairs - 1), kv_head);
      const float* q = args.q + place_[row].offset + lane_id() % 4 * 2;
#pragma unroll
      for (int step = 0; step < D / 16; ++step) {
        queries_[step][row] = scaled(q + 16 * step, args.scale);
        queries_[step][row + 2] = scaled(q + 16 * step + 8, args.scale);
      }
    }
  }

  __device__ int pair(int row) const {
    return pair_[row];
  }
  __device__ int64_t offset(int row) const {
    return place_[row].offset;
  }

  // scores [16, 16 kGroups] += queries * keys^T, for groups of keys at `keys`.
  template <int kGroups>
  __device__ void add_scores(uint32_t keys, float (&scores)[2 * kGroups][4]) const {
    const int lane = lane_id();
    const uint32_t from =
        keys + static_cast<uint32_t>((lane / 16 * 8 + lane % 8) * kRowBytes + lane / 8 % 2 * 16);
#pragma unroll
    for (int step = 0; step < D / 16; ++step) {
#pragma unroll
      for (int group = 0; group < kGroups; ++group) {
        uint32_t b[4];
        load_matrices(b, from + static_cast<uint32_t>(group * kGroupKeys * kRowBytes + step * 32));
        Numbers<T>::multiply(scores[2 * group], queries_[step], b[0], b[1]);
        Numbers<T>::multiply(scores[2 * group + 1], queries_[step], b[2], b[3]);
      }
    }
  }

  // Caps the scores of keys from first_key on, and makes those a row does not see -infinity.
  template <int kGroups>
  __device__ void hide_unseen(int first_key, float (&scores)[2 * kGroups][4]) const {
    constexpr int kKeys = kGroups * kGroupKeys;
    if (soft_cap_ > 0.0F) {
#pragma unroll
      for (int i = 0; i < kKeys / 2; ++i) {
        scores[i / 4][i % 4] = cap_score(scores[i / 4][i % 4], soft_cap_);
      }
    }
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      const int first = place_[row].first_key;
      const int last = place_[row].last_key;
      if (first_key >= first && first_key + kKeys <= last) continue;
#pragma unroll
      for (int i = 0; i < kKeys / 4; ++i) {
        const int key = first_key + i / 2 * 8 + lane_id() % 4 * 2 + i % 2;
        float& score = scores[i / 2][2 * row + i % 2];
        if (key < first || key >= last) score = minus_infinity();
      }
    }
  }

 private:
  __device__ static uint32_t scaled(const float* q, float scale) {
    const float2 pair = *reinterpret_cast<const float2*>(q);
    return Numbers<T>::pack(__fmul_rn(pair.x, scale), __fmul_rn(pair.y, scale));
  }

  float soft_cap_;
  int pair_[2];
  PairPlace place_[2];
  uint32_t queries_[D / 16][4];
};

// The largest score of a row, of the four lanes that share it.
template <int kTiles>
__device__ float largest_score(const float (&scores)[kTiles][4], int row) {
  float largest = minus_infinity();
#pragma unroll
  for (int i = 0; i < 2 * kTiles; ++i) largest = fmaxf(largest, scores[i / 2][2 * row + i % 2]);
  largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 1));
  return fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 2));
}

// The new maximum of a row, and what everything before is multiplied by.
struct NewMaximum {
  float base;  // what weights are relative to
  float factor;
};
__device__ inline NewMaximum raise_maximum(float& maximum, float largest_score) {
  const float largest = fmaxf(maximum, __fmul_rn(largest_score, kLog2E));
  const float base = reference(largest);
  const float factor = exp2_fast(maximum - base);
  maximum = largest;
  return {base, factor};
}

// Turns a row's scores of a group of keys into weights; `sum` is of the lane's own columns.
__device__ inline void weigh_group(float (*scores)[4], int row, const NewMaximum& raised,
                                   float& sum) {
  float added = 0.0F;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    float& score = scores[i / 2][2 * row + i % 2];
    score = exp2_fast(__fmaf_rn(score, kLog2E, -raised.base));
    added += score;
  }
  sum = __fmaf_rn(sum, raised.factor, added);
}

// The sum over the four lanes that share a row.
__device__ inline float sum_row(float sum) {
  sum += __shfl_xor_sync(kAllLanes, sum, 1);
  return sum + __shfl_xor_sync(kAllLanes, sum, 2);
}

template <int kTiles>
__device__ void scale_values(float (&values)[kTiles][4], int row, float factor) {
#pragma unroll
  for (int i = 0; i < 2 * kTiles; ++i) {
    float& value = values[i / 2][2 * row + i % 2];
    value = __fmul_rn(value, factor);
  }
}

// sums [16, 8 kTiles] += weights [16, 16] * values [16, 8 kTiles], a group of keys' at `values`.
template <class T, int D, int kTiles>
__device__ void add_values(uint32_t values, const uint32_t (&weights)[4],
                           float (&sums)[kTiles][4]) {
  const int lane = lane_id();
  const uint32_t from =
      values +
      static_cast<uint32_t>((lane / 8 % 2 * 8 + lane % 8) * Layout<D>::kRowBytes + lane / 16 * 16);
#pragma unroll
  for (int i = 0; i < kTiles; i += 2) {
    // An odd last tile is read with what lies behind it, in its row's padding at the farthest.
    uint32_t b[4];
    load_transposed(b, from + static_cast<uint32_t>(i * 16));
    Numbers<T>::multiply(sums[i], weights, b[0], b[1]);
    if (i + 1 < kTiles) Numbers<T>::multiply(sums[i + 1], weights, b[2], b[3]);
  }
}

}  // namespace octavo::cuda
