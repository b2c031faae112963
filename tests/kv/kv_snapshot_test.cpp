// What KvCache::snapshot() says about blocks in each of their states.

#include <gtest/gtest.h>

#include "kv/kv_cache.h"
#include "kv/secured.h"
#include "kv/token_runs.h"

namespace octavo {
namespace {

// The blocks of a sequence of these tokens, computed in a step that is over.
SequenceBlocks compute(KvCache& kv, const Tokens& tokens) {
  SequenceBlocks blocks;
  const PrefixMatch match = kv.match(tokens, "");
  adopt(kv, blocks, match, "");
  const auto length = static_cast<int32_t>(tokens.size());
  const int32_t first = match.blocks * kv.config().block_size + match.partial_tokens;
  make_writable(kv, blocks, first, length - first);
  kv.index_blocks(blocks, tokens, length);
  kv.begin_step();
  kv.end_step();
  return blocks;
}

TEST(KvSnapshot, SaysWhoHoldsWhatAndWhatIsWasted) {
  KvCache kv({.block_size = 4, .groups = {{0}}, .max_blocks = 10, .extent_blocks = 5});
  SequenceBlocks a = compute(kv, count_from(0, 6));
  SequenceBlocks b;
  kv.fork(a, b);
  SequenceBlocks c = compute(kv, count_from(100, 1));
  const CacheSnapshot now = kv.snapshot(std::vector<LiveBlocks>{{&a, 6}, {&b, 6}, {&c, 1}});
  ASSERT_EQ(now.blocks.size(), 5u) << "one extent is committed";
  EXPECT_EQ(now.blocks_shared, 2);

  const BlockSnapshot& full = now.blocks[static_cast<size_t>(a.tables[0].blocks[0])];
  EXPECT_EQ(full.block, a.tables[0].blocks[0]);
  EXPECT_EQ(full.state, BlockState::in_use);
  EXPECT_EQ(full.group, 0);
  EXPECT_EQ(full.tokens, 4);
  EXPECT_EQ(full.owners, (std::vector<int32_t>{0, 1}));
  EXPECT_NE(full.content_hash, 0u);
  EXPECT_FALSE(full.in_host_tier);

  const BlockSnapshot& tail = now.blocks[static_cast<size_t>(a.tables[0].blocks[1])];
  EXPECT_EQ(tail.tokens, 2);
  EXPECT_EQ(tail.owners, (std::vector<int32_t>{0, 1}));
  EXPECT_EQ(tail.content_hash, 0u) << "it is not full, and its sequences run";

  EXPECT_EQ(now.blocks[4].state, BlockState::free);
  EXPECT_EQ(now.blocks[4].group, -1);
  EXPECT_EQ(now.owned_slots, 12);
  EXPECT_EQ(now.filled_slots, 7);
  EXPECT_EQ(now.wasted_slots(), 5);
  EXPECT_EQ(now.saved_blocks, 2);
}

TEST(KvSnapshot, CachedBlocksGrowOldInSteps) {
  KvCache kv({.block_size = 4, .groups = {{0}}, .max_blocks = 4, .extent_blocks = 4});
  const Tokens tokens = count_from(0, 6);
  SequenceBlocks a = compute(kv, tokens);
  kv.index_tail(a, tokens, 6);
  kv.release(a);
  for (int step = 0; step < 3; ++step) {
    kv.begin_step();
    kv.end_step();
  }
  const CacheSnapshot now = kv.snapshot({});
  EXPECT_EQ(now.owned_slots, 0);
  const BlockSnapshot& full = now.blocks[0];
  EXPECT_EQ(full.state, BlockState::cached);
  EXPECT_EQ(full.tokens, 4);
  EXPECT_EQ(full.idle_steps, 3);
  const BlockSnapshot& tail = now.blocks[1];
  EXPECT_EQ(tail.state, BlockState::cached);
  EXPECT_EQ(tail.tokens, 2);
  EXPECT_NE(tail.content_hash, full.content_hash);
}

TEST(KvSnapshot, SaysWhatTheHostTierHasToo) {
  KvCache kv(
      {.block_size = 4, .groups = {{0}}, .max_blocks = 2, .extent_blocks = 2, .host_blocks = 4});
  for (const TokenId first : {0, 100}) {
    SequenceBlocks blocks = compute(kv, count_from(first, 8));
    kv.release(blocks);
  }
  EXPECT_FALSE(kv.snapshot({}).blocks[0].in_host_tier);
  const SequenceBlocks back = compute(kv, count_from(0, 5));
  const CacheSnapshot now = kv.snapshot(std::vector<LiveBlocks>{{&back, 5}});
  EXPECT_TRUE(now.blocks[static_cast<size_t>(back.tables[0].blocks[0])].in_host_tier);
  EXPECT_EQ(now.host_slots, 4);
  EXPECT_EQ(now.host_slots_used, 4);
}

}  // namespace
}  // namespace octavo
