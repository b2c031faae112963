// How the attention of a step is cut into work for a device. Made by the host, once per step for
// each KV group and each number of heads per key head; plain integers that kernels read.
//
// The unit is a pair: a query row and one of the heads that share its key head, numbered
// row within the sequence * heads per key head + head. Consecutive pairs of one sequence make a
// piece, of which there are two kinds:
//
//   tile    up to kTilePairs pairs; a thread block folds their segments in order
//   strip   up to kStripPairs pairs (a decoding sequence); a thread block folds one segment of them
//
// A piece whose segments are folded apart leaves a record per pair and segment, which a merge folds
// in ascending order. No bit of a result depends on the plan: a segment is always folded on its
// own, and segments are always merged from the first (attention_state.h).
#pragma once

#include <cstdint>
#include <vector>

#include "backend/cuda/half_bits.h"

namespace octavo {
struct Batch;
}

namespace octavo::cuda {

inline constexpr int kSegmentKeys = 256;  // kAttentionSegment
inline constexpr int kBlockWarps = 4;     // of a thread block of the attention kernels
inline constexpr int kStripPairs = 16;    // the rows of a tensor core's tile
inline constexpr int kTilePairs = kBlockWarps * kStripPairs;

// Pairs [first_pair, first_pair + pairs) of a sequence over some segments.
struct alignas(16) AttentionItem {
  int32_t sequence;
  int32_t first_pair;
  int32_t pairs;
  int32_t first_segment;
  int32_t segments;
  // Of an item: where the record of its first pair and segment is, or -1: the item has all segments
  // of its piece and writes the result. Of a merge: the same for the piece. The record of pair p
  // and segment s is at record + s * pairs + p, counted from the first ones.
  int32_t record;
  // Where the sequence's rows begin in the step and its blocks in the group's tables, and the keys
  // that any of the pairs sees: an item is all that a kernel must read before it can begin.
  int32_t first_row;
  int32_t first_block;
  int32_t first_key;
  int32_t last_key;   // one past
  int32_t unused[2];  // so that three 16-byte loads read an item
};

// The words of a plan: this, then the tiles, the strips and the merges.
struct AttentionPlanHeader {
  int32_t tiles;
  int32_t strips;
  int32_t merges;
  int32_t unused;
};

struct AttentionShape {
  int32_t kv_heads = 1;
  int32_t heads_per_kv_head = 1;
  int32_t head_dim = 1;
  int32_t window = 0;  // 0: none
  int32_t group = 0;   // KV group
};

struct AttentionPlan {
  std::vector<int32_t> words;  // AttentionPlanHeader and AttentionItems, to be copied to the device
  // Sizes of grids and scratch memory, rounded up to powers of two so that few different ones come
  // up and launches can be replayed. 0: nothing of it is needed.
  int32_t block_capacity = 0;  // thread blocks per key head
  int32_t merge_capacity = 0;  // merges per key head
  bool has_tiles = false;
  bool merges_all = false;     // every pair has records
  int64_t partial_floats = 0;  // room for the records
};

// Floats of a record: maximum and sum, padded to 16 bytes, then the values.
OCTAVO_HOST_DEVICE constexpr int64_t record_floats(int32_t head_dim) {
  return (int64_t{head_dim} + 3) / 4 * 4 + 4;
}

AttentionPlan plan_attention(const Batch& batch, const AttentionShape& shape);

}  // namespace octavo::cuda
