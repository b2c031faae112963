// The small words of the KV cache: ids, what a KV group is, and what a window lets a token see.
//
// Plain values; nothing here owns anything.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/block.h"

namespace octavo {

using TokenId = int32_t;
using ExtentId = int32_t;  // extent e holds the blocks [e * extent_blocks, (e + 1) * extent_blocks)

// Layers that share one block table: they have the same window and the same bytes per token. Blocks
// of all groups have equal bytes, so that one pool serves every group.
struct GroupSpec {
  int32_t window = 0;  // 0: global, every earlier position is visible
};

// How long cached blocks are kept: those of the lowest priority are evicted first, the least
// recently used of them before the others.
inline constexpr int32_t kCachePriorities = 4;
inline constexpr int32_t kDefaultCachePriority = 1;
struct Retention {
  int32_t priority = kDefaultCachePriority;  // 0 .. kCachePriorities - 1
  // A priority above the default one holds for this long after the last use; 0: for good.
  int64_t ttl_ms = 0;
};

// The first position that the token at `position` attends to: position - window + 1, or 0.
constexpr int32_t first_visible(const GroupSpec& group, int32_t position) {
  return group.window == 0 ? 0 : std::max(0, position - group.window + 1);
}

}  // namespace octavo
