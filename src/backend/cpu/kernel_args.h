// What the attention and position kernels take: plain structs, filled by attention.cpp and
// rope.cpp.
//
// No functions here, because every instruction set's translation unit includes this file (see
// simd.h).
#pragma once

#include <cstdint>

namespace octavo::cpu {

// A pair is a query row and one of the heads that share the key head: the unit of attention work.
inline constexpr int kAttentionPairs = 16;  // pairs that share every loaded tile of K and V
inline constexpr int kSegmentKeys = 256;    // kAttentionSegment
inline constexpr int kSegmentTiles = 16;    // tiles of 16 keys in a segment

// Up to kAttentionPairs pairs of one sequence and one key head, over one segment of keys.
struct AttentionSegment {
  int32_t pairs;
  int32_t head_dim;
  float scale;                            // multiplies q·k
  float soft_cap;                         // 0: none
  bool half;                              // K and V are f16, otherwise f32
  const float* queries[kAttentionPairs];  // [head_dim] each
  // The keys a pair sees: [first, last) within the segment; none when first >= last.
  int32_t first[kAttentionPairs];
  int32_t last[kAttentionPairs];
  // Only tiles in which some pair sees a key are read, and of their values only the keys seen.
  const void* keys[kSegmentTiles];    // [head_dim][16]
  const void* values[kSegmentTiles];  // [16][head_dim]
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
  const float* key;    // [kv_heads, head_dim]
  const float* value;  // [kv_heads, head_dim]
  void* key_slot;      // first kv head's K tile, at the token's lane; elements are 16 apart
  void* value_slot;    // first kv head's V row
  int64_t head_bytes;  // from one kv head's slot to the next
  int32_t kv_heads;
  int32_t head_dim;
  bool half;
};

}  // namespace octavo::cpu
