#include "kv/kv_cache.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "kv/secured.h"
#include "kv/token_runs.h"

namespace octavo {
namespace {

KvConfig config(std::vector<GroupSpec> groups, int32_t max_blocks) {
  return {.block_size = 4,
          .groups = std::move(groups),
          .max_blocks = max_blocks,
          .extent_blocks = 2,
          .prefix_cache = true};
}

// A sequence with blocks for all its tokens, entered in the index.
SequenceBlocks computed(KvCache& kv, const Tokens& tokens, std::string_view key = "") {
  SequenceBlocks blocks;
  adopt(kv, blocks, {}, key);
  const auto length = static_cast<int32_t>(tokens.size());
  make_writable(kv, blocks, 0, length);
  kv.index_blocks(blocks, tokens, length);
  return blocks;
}

BlockMoves drained(KvCache& kv) {
  BlockMoves moves;
  kv.drain_moves(moves);
  return moves;
}

void expect_sound(const KvCache& kv, std::vector<const SequenceBlocks*> live) {
  EXPECT_EQ(kv.check_integrity(live), std::nullopt);
}

TEST(KvCache, AHitEndsAtLeastOneTokenBeforeTheEnd) {
  KvCache kv(config({{0}}, 10));
  SequenceBlocks a = computed(kv, count_from(0, 12));
  EXPECT_EQ(kv.match(count_from(0, 12), "").blocks, 2);
  EXPECT_EQ(kv.match(count_from(0, 13), "").blocks, 3);
  EXPECT_EQ(kv.match(count_from(0, 4), "").blocks, 0);
  EXPECT_EQ(kv.match(count_from(0, 5), "").blocks, 1);
  EXPECT_EQ(kv.match(count_from(1, 12), "").blocks, 0);
  EXPECT_EQ(kv.match(count_from(0, 13), "salt").blocks, 0);
  expect_sound(kv, {&a});
}

TEST(KvCache, AReleasedPrefixIsFoundUntilItsBlocksAreTakenTailsFirst) {
  KvCache kv(config({{0}}, 3));
  SequenceBlocks a = computed(kv, count_from(0, 12));
  kv.release(a);
  EXPECT_EQ(kv.counts().cached, 3);
  SequenceBlocks other = computed(kv, count_from(100, 3));  // takes the last block of a
  EXPECT_EQ(kv.evictions(), 1);
  const PrefixMatch match = kv.match(count_from(0, 13), "");
  EXPECT_EQ(match.blocks, 2);
  EXPECT_EQ(match.full.idle, 2);
  SequenceBlocks b;
  adopt(kv, b, match, "");
  EXPECT_EQ(kv.counts().cached, 0);
  EXPECT_EQ(kv.match(count_from(0, 13), "").full.idle, 0);
  expect_sound(kv, {&b, &other});
}

TEST(KvCache, WhatAMatchPutsToUseIsNotTakenForWhatFollowsIt) {
  KvCache kv(config({{0}}, 4));
  SequenceBlocks a = computed(kv, count_from(0, 8));
  kv.release(a);
  const PrefixMatch match = kv.match(count_from(0, 9), "");
  EXPECT_EQ(match.full.idle, 2);
  EXPECT_TRUE(kv.secure(4));
  EXPECT_TRUE(kv.secure(match, 2));
  EXPECT_FALSE(kv.secure(match, 3));
}

TEST(KvCache, TheFirstWriterIntoASharedBlockCopiesAndTheLastDoesNot) {
  KvCache kv(config({{0}, {8}}, 20));
  SequenceBlocks a = computed(kv, count_from(0, 6));  // the second block is half full
  SequenceBlocks b;
  SequenceBlocks c;
  kv.fork(a, b);
  kv.fork(a, c);
  EXPECT_EQ(kv.counts().in_use, 4);
  EXPECT_EQ(kv.counts().shared, 4);
  EXPECT_EQ(kv.blocks_to_take(b, 6, 1), 2);  // one per group
  make_writable(kv, b, 6, 1);
  make_writable(kv, a, 6, 1);
  EXPECT_EQ(kv.blocks_to_take(c, 6, 1), 0);
  make_writable(kv, c, 6, 1);
  EXPECT_EQ(kv.copies(), 4);
  const std::vector<BlockCopy> copies = drained(kv).copies;
  ASSERT_EQ(copies.size(), 4u);
  EXPECT_EQ(copies[1].group, 1);
  EXPECT_EQ(copies[1].from, c.tables[1].blocks[1]);
  EXPECT_EQ(copies[1].to, b.tables[1].blocks[1]);
  EXPECT_EQ(a.tables[0].blocks[0], b.tables[0].blocks[0]);  // the full block stays shared
  expect_sound(kv, {&a, &b, &c});
}

TEST(KvCache, TheSourceOfACopyOutlivesTheStepThatCopies) {
  KvCache kv(config({{0}}, 3));
  SequenceBlocks a = computed(kv, count_from(0, 2));
  SequenceBlocks b;
  kv.fork(a, b);
  make_writable(kv, b, 2, 1);
  kv.release(a);  // in the same plan: nobody owns the source now
  EXPECT_EQ(kv.counts().held, 1);
  kv.begin_step();
  EXPECT_EQ(kv.counts().held, 1);
  kv.end_step();
  EXPECT_EQ(kv.counts().held, 0);
  expect_sound(kv, {&b});
}

TEST(KvCache, ABlockLeftDuringAStepIsHeldUntilTheNewestStepIsOver) {
  KvCache kv(config({{0}}, 2));
  SequenceBlocks a = computed(kv, count_from(0, 2));
  SequenceBlocks b = computed(kv, count_from(9, 2));
  kv.begin_step();
  kv.release(a);
  kv.begin_step();
  kv.release(b);
  EXPECT_EQ(kv.available(), 0);
  kv.end_step();
  EXPECT_EQ(kv.available(), 1);
  kv.end_step();
  EXPECT_EQ(kv.available(), 2);
}

TEST(KvCache, AWindowedGroupGivesUpWhatItPassed) {
  KvCache kv(config({{0}, {5}}, 20));
  const Tokens tokens = count_from(0, 16);
  SequenceBlocks a = computed(kv, tokens);
  kv.drop_outside_window(a, 12);  // position 12 sees 8 .. 12
  EXPECT_EQ(a.tables[0].first_held, 0);
  EXPECT_EQ(a.tables[1].first_held, 2);
  EXPECT_EQ(a.tables[1].blocks[1], kNoBlock);
  EXPECT_NE(a.tables[1].blocks[2], kNoBlock);
  EXPECT_EQ(kv.counts().in_use, 6);
  EXPECT_EQ(kv.counts().cached, 2);
  expect_sound(kv, {&a});
}

TEST(KvCache, AHitNeedsOnlyTheLastWindowOfAWindowedGroup) {
  // Enough blocks for 4 + 4, so that taking two more evicts the oldest: the windowed group's first.
  KvCache kv(config({{0}, {5}}, 8));
  const Tokens tokens = count_from(0, 16);
  SequenceBlocks a = computed(kv, tokens);
  kv.drop_outside_window(a, 12);
  SequenceBlocks other = computed(kv, count_from(100, 3));
  EXPECT_EQ(kv.evictions(), 2);
  const PrefixMatch match = kv.match(count_from(0, 17), "");
  EXPECT_EQ(match.blocks, 4);
  EXPECT_EQ(match.physical_blocks, 5);  // 4 global ones and block 3 with position 12 .. 15
  // A prefix that ends where the window's blocks are gone cannot be used.
  EXPECT_EQ(kv.match(count_from(0, 9), "").blocks, 0);
  SequenceBlocks b;
  adopt(kv, b, match, "");
  EXPECT_EQ(b.tables[1].first_held, 3);
  EXPECT_EQ(b.tables[1].blocks[3], a.tables[1].blocks[3]);
  expect_sound(kv, {&a, &b, &other});
}

TEST(KvCache, AWindowThatStartsInsideABlockNeedsThatBlock) {
  KvCache kv(config({{6}}, 8));
  SequenceBlocks a = computed(kv, count_from(0, 12));
  // Position 12 sees 7 .. 12, which begins in block 1.
  const PrefixMatch match = kv.match(count_from(0, 13), "");
  EXPECT_EQ(match.blocks, 3);
  EXPECT_EQ(match.physical_blocks, 2);
  expect_sound(kv, {&a});
}

TEST(KvCache, PeakBlocksIsReachedAndNeverExceeded) {
  for (const int32_t window : {0, 1, 3, 4, 5, 9}) {
    for (const int32_t q_len : {1, 3, 4, 7}) {
      KvCache kv(config({{window}}, 100));
      SequenceBlocks a;
      adopt(kv, a, {}, "");
      int32_t peak = 0;
      for (int32_t first = 0; first < 60; first += q_len) {
        kv.drop_outside_window(a, std::max(0, first - 1));  // as before a possible truncation
        make_writable(kv, a, first, q_len);
        peak = std::max(peak, kv.counts().in_use);
      }
      const int64_t length = (60 + q_len - 1) / q_len * q_len;
      EXPECT_LE(peak, kv.peak_blocks(length, q_len)) << window << " " << q_len;
      EXPECT_GE(peak + 1, kv.peak_blocks(length, q_len)) << window << " " << q_len;
    }
  }
}

TEST(KvCache, AWrittenBlockLeavesTheIndex) {
  KvCache kv(config({{0}}, 4));
  const Tokens tokens = count_from(0, 8);
  SequenceBlocks a = computed(kv, tokens);
  kv.unindex_after(a, 7);
  make_writable(kv, a, 7, 1);
  EXPECT_TRUE(drained(kv).copies.empty());
  EXPECT_EQ(kv.match(count_from(0, 9), "").blocks, 1);
  expect_sound(kv, {&a});
  kv.index_blocks(a, tokens, 8);
  EXPECT_EQ(kv.match(count_from(0, 9), "").blocks, 2);
  expect_sound(kv, {&a});
}

TEST(KvCache, EqualContentComputedTwiceIsOneEntry) {
  KvCache kv(config({{0}}, 4));
  SequenceBlocks a = computed(kv, count_from(0, 4));
  SequenceBlocks b = computed(kv, count_from(0, 4));
  EXPECT_NE(a.tables[0].blocks[0], b.tables[0].blocks[0]);
  EXPECT_EQ(a.tip, b.tip);
  kv.release(a);
  EXPECT_EQ(kv.match(count_from(0, 5), "").blocks, 1);
  expect_sound(kv, {&b});
}

TEST(KvCache, ReleaseIdleForgetsThePrefixesAndGivesTheMemoryBack) {
  std::vector<ExtentId> extents;
  KvCache kv(config({{0}}, 10), [&extents](ExtentId extent) {
    extents.push_back(extent);
    return true;
  });
  SequenceBlocks a = computed(kv, count_from(0, 16));
  SequenceBlocks b = computed(kv, count_from(50, 3));
  EXPECT_EQ(extents, (std::vector<ExtentId>{0, 1, 2}));
  kv.release(a);
  std::vector<ExtentId> released = kv.release_idle();
  std::ranges::sort(released);
  EXPECT_EQ(released, (std::vector<ExtentId>{0, 1}));
  EXPECT_EQ(kv.counts().cached, 0);
  EXPECT_EQ(kv.match(count_from(0, 16), "").blocks, 0);
  expect_sound(kv, {&b});
}

TEST(KvCache, AKeyIsForgottenWithAllItsBranches) {
  KvCache kv(config({{0}}, 20));
  for (const TokenId last : {100, 200}) {
    Tokens tokens = count_from(0, 8);
    for (const TokenId token : count_from(last, 8)) tokens.push_back(token);
    SequenceBlocks blocks = computed(kv, tokens, "gone");
    kv.release(blocks);
  }
  SequenceBlocks other = computed(kv, count_from(0, 16), "kept");
  kv.release(other);
  EXPECT_EQ(kv.counts().cached, 2 * 4 + 4);
  kv.forget_key("gone");
  kv.forget_key("unknown");
  EXPECT_EQ(kv.match(count_from(0, 17), "gone").blocks, 0);
  EXPECT_EQ(kv.match(count_from(0, 17), "kept").blocks, 4);
  EXPECT_EQ(kv.counts().cached, 4);
  expect_sound(kv, {});
}

TEST(KvCache, WithoutThePrefixCacheWhatAWindowPassedIsFree) {
  KvConfig off = config({{0}, {5}}, 20);
  off.prefix_cache = false;
  KvCache kv(off);
  SequenceBlocks a = computed(kv, count_from(0, 16));
  kv.drop_outside_window(a, 12);
  EXPECT_EQ(kv.counts().in_use, 6);
  EXPECT_EQ(kv.counts().cached, 0);
  expect_sound(kv, {&a});
}

TEST(KvCache, TheIntegrityCheckSeesATableThatNobodyCounts) {
  KvCache kv(config({{0}}, 10));
  SequenceBlocks a = computed(kv, count_from(0, 8));
  const SequenceBlocks stray = a;
  expect_sound(kv, {&a});
  const std::vector<const SequenceBlocks*> live = {&a, &stray};
  EXPECT_NE(kv.check_integrity(live), std::nullopt);
  EXPECT_NE(kv.check_integrity({}), std::nullopt);
}

}  // namespace
}  // namespace octavo
