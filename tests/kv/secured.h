// Blocks as the scheduler takes them: secured first.
#pragma once

#include <gtest/gtest.h>

#include <string_view>

#include "kv/kv_cache.h"

namespace octavo {

inline void adopt(KvCache& kv, SequenceBlocks& blocks, const PrefixMatch& match,
                  std::string_view key) {
  EXPECT_TRUE(kv.secure(match, 0));
  kv.adopt(blocks, match, key);
}

inline void make_writable(KvCache& kv, SequenceBlocks& blocks, int32_t first, int32_t count) {
  EXPECT_TRUE(kv.secure(kv.blocks_to_take(blocks, first, count)));
  kv.make_writable(blocks, first, count);
}

}  // namespace octavo
