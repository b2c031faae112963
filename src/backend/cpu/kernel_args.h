// What the attention and position kernels take: plain structs, filled by attention.cpp and
// rope.cpp.
//
// No functions here, because every instruction set's translation unit includes this file (see
// simd.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace octavo::cpu {

// A pair is a query row and one of the heads that share the key head: the unit of attention work.
inline constexpr int kAttentionPairs = 16;  // pairs of a task, all of which may share a loaded tile
inline constexpr int kSegmentKeys = 256;    // kAttentionSegment
inline constexpr int kSegmentTiles = 16;    // tiles of 16 keys in a segment
inline constexpr int kMaxHeadDim = 512;     // the longest head that the kernels have room for

// What IQ4_NL's rotation multiplies by (kv_tiles.h) where K and V are stored, and where queries and
// results meet them: powers of two whose product undoes the transform's own factor of 32.
inline constexpr float kRotateStored = 0.25f;
inline constexpr float kRotateBack = 0.125f;

// Consecutive pairs that read the same memory in consecutive tiles of a segment.
struct TileRun {
  int32_t first_pair;
  int32_t pairs;
  int32_t first_tile;
  int32_t tiles;
};

// Up to kAttentionPairs pairs of one key head, over one segment of keys.
struct AttentionSegment {
  int32_t pairs;
  int32_t head_dim;
  float scale;                            // multiplies q·k
  float soft_cap;                         // 0: none
  DType type;                             // of K and V; kv_tiles.h has the layout
  const float* queries[kAttentionPairs];  // [head_dim] each
  // The keys a pair sees: [first, last) within the segment; none when first >= last.
  int32_t first[kAttentionPairs];
  int32_t last[kAttentionPairs];
  // Every pair is in one run for each tile in which it sees a key, in order of its tiles. The tiles
  // of all runs follow one another in tile_offsets: K lies at memory + offset, V value_offset
  // behind it. Of the values only the keys seen are read.
  const TileRun* runs;
  size_t run_count;
  const int64_t* tile_offsets;
  size_t tile_count;
  const std::byte* memory;
  int64_t value_offset;
};

// The softmax of some keys, not yet divided: sum = Σ exp(s - max), values = Σ exp(s - max) v.
// A pair that has seen no key has sum 0 and max -infinity; its values are undefined.
struct AttentionState {
  float* max;      // [pairs]
  float* sum;      // [pairs]
  float* values;   // [pairs, stride]
  int64_t stride;  // head_dim rounded up to whole vectors
};

// One token's K and V on their way into the cache.
struct StoredRow {
  const float* key;      // [kv_heads, head_dim]
  const float* value;    // [kv_heads, head_dim]
  std::byte* key_tile;   // of the first kv head
  std::byte* value_row;  // of the first kv head
  int64_t head_bytes;    // from one kv head to the next
  int32_t lane;          // of the token in the key tile
  int32_t kv_heads;
  int32_t head_dim;
  DType type;
};

}  // namespace octavo::cpu
