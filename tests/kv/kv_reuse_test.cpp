// What outlives its sequence: parts of blocks, kept blocks, and the host tier.
#include <gtest/gtest.h>

#include <algorithm>

#include "kv/kv_cache.h"
#include "kv/secured.h"
#include "kv/token_runs.h"

namespace octavo {
namespace {

// A cache whose every use is a step of its own.
struct Cache : KvCache {
  using KvCache::KvCache;

  // Computes what a sequence of these tokens does not find, in one step.
  SequenceBlocks compute(const Tokens& tokens, Retention retention = {},
                         std::string_view key = "") {
    SequenceBlocks blocks;
    blocks.retention = retention;
    const PrefixMatch found = match(tokens, key);
    octavo::adopt(*this, blocks, found, key);
    const auto length = static_cast<int32_t>(tokens.size());
    const int32_t first = found.blocks * config().block_size + found.partial_tokens;
    octavo::make_writable(*this, blocks, first, length - first);
    index_blocks(blocks, tokens, length);
    drain_moves(moves);
    begin_step();
    end_step();
    return blocks;
  }

  void leave(SequenceBlocks& blocks, const Tokens& tokens,
             Afterlife afterlife = Afterlife::offloaded) {
    index_tail(blocks, tokens, static_cast<int32_t>(tokens.size()));
    release(blocks, afterlife);
  }

  void compute_and_leave(const Tokens& tokens, Retention retention = {}) {
    SequenceBlocks blocks = compute(tokens, retention);
    leave(blocks, tokens);
  }

  int32_t found(const Tokens& tokens, std::string_view key = "") {
    const PrefixMatch best = match(tokens, key);
    return best.blocks * config().block_size + best.partial_tokens;
  }

  void expect_sound(std::vector<const SequenceBlocks*> live) {
    EXPECT_EQ(check_integrity(live), std::nullopt);
  }

  BlockMoves moves;  // of the last step
};

KvConfig config(std::vector<GroupSpec> groups, int32_t max_blocks, int32_t host_blocks = 0) {
  return {.block_size = 4,
          .groups = std::move(groups),
          .max_blocks = max_blocks,
          .extent_blocks = 2,
          .host_blocks = host_blocks,
          .report_spills = true};
}

TEST(PartialReuse, TheNextTurnFindsAllOfTheLastOne) {
  Cache kv(config({{0}}, 10));
  kv.compute_and_leave(count_from(0, 7));
  EXPECT_EQ(kv.found(count_from(0, 20)), 7);
  EXPECT_EQ(kv.found(count_from(0, 7)), 6);  // the last token's logits are needed
  EXPECT_EQ(kv.found(count_from(0, 20), "salt"), 0);
  SequenceBlocks next = kv.compute(count_from(0, 9));
  ASSERT_EQ(kv.moves.copies.size(), 1u);
  EXPECT_EQ(kv.moves.copies[0].to, next.tables[0].blocks[1]);
  EXPECT_NE(kv.moves.copies[0].from, next.tables[0].blocks[1]);
  EXPECT_EQ(kv.counts().cached, 1);  // the source stays for others
  kv.expect_sound({&next});
}

TEST(PartialReuse, TheLongestCommonBeginningCounts) {
  Cache kv(config({{0}}, 20));
  Tokens a = count_from(0, 8);
  Tokens b = a;
  a[6] = 100;
  b[7] = 200;
  SequenceBlocks one = kv.compute(a);
  SequenceBlocks two = kv.compute(b);  // shares 4 + 2 tokens with the first
  ASSERT_EQ(kv.moves.copies.size(), 1u);
  EXPECT_EQ(kv.found(count_from(0, 20)), 7);
  EXPECT_EQ(kv.match(count_from(0, 20), "").physical_blocks, 1);
  kv.expect_sound({&one, &two});
}

TEST(PartialReuse, ABlockThatTheSamePlanWritesIsNotCopied) {
  KvCache kv(config({{0}}, 20));
  const Tokens tokens = count_from(0, 8);
  SequenceBlocks a;
  adopt(kv, a, {}, "");
  make_writable(kv, a, 0, 8);
  kv.index_blocks(a, tokens, 8);
  // The whole first block can be read in the same step; a copy would be made before it is written.
  EXPECT_EQ(kv.match(count_from(0, 8), "").blocks, 1);
  EXPECT_EQ(kv.match(count_from(0, 8), "").partial_tokens, 0);
  kv.begin_step();
  EXPECT_EQ(kv.match(count_from(0, 8), "").partial_tokens, 3);
}

TEST(PartialReuse, OthersWithOtherSaltsDoNotStandInTheWay) {
  Cache kv(config({{0}}, 300));
  kv.compute_and_leave(count_from(0, 3));
  constexpr size_t kOthers = 200;
  std::vector<SequenceBlocks> others;
  others.reserve(kOthers);
  for (TokenId i = 0; others.size() < kOthers; ++i) {
    others.push_back(kv.compute(count_from(1000 + 10 * i, 4), {}, "another tenant's"));
  }
  EXPECT_EQ(kv.found(count_from(0, 20)), 3);
}

TEST(PartialReuse, NeedsTheBlockInEveryGroup) {
  Cache kv(config({{0}, {5}}, 20));
  kv.compute_and_leave(count_from(0, 7));
  EXPECT_EQ(kv.found(count_from(0, 20)), 7);
  SequenceBlocks b = kv.compute(count_from(0, 20));
  EXPECT_EQ(kv.moves.copies.size(), 2u);
  kv.expect_sound({&b});
}

TEST(PartialReuse, AForksTailIsSharedUntilItsOwnerWritesOn) {
  Cache kv(config({{0}}, 20));
  SequenceBlocks a = kv.compute(count_from(0, 6));
  SequenceBlocks b;
  kv.fork(a, b);
  kv.leave(a, count_from(0, 6));
  EXPECT_EQ(kv.found(count_from(0, 20)), 6);
  make_writable(kv, b, 6, 1);  // it is the only owner now and writes in place
  EXPECT_EQ(kv.found(count_from(0, 20)), 4);
  kv.expect_sound({&b});
}

TEST(Retention, LowPrioritiesGoFirstAndTimeToLiveEnds) {
  Cache kv(config({{0}}, 8));
  kv.compute_and_leave(count_from(0, 4), {.priority = 2, .ttl_ms = 1000});
  kv.compute_and_leave(count_from(100, 4), {.priority = 3});
  kv.compute_and_leave(count_from(200, 4));
  kv.compute_and_leave(count_from(300, 4), {.priority = 0});
  const auto kept = [&](TokenId first) { return kv.found(count_from(first, 5)) == 4; };
  SequenceBlocks five = kv.compute(count_from(1000, 20));  // 4 free blocks and the first to go
  EXPECT_FALSE(kept(300));
  EXPECT_TRUE(kept(200));
  SequenceBlocks one = kv.compute(count_from(2000, 4));
  EXPECT_FALSE(kept(200));
  EXPECT_TRUE(kept(0));
  kv.set_time(999);
  EXPECT_TRUE(kept(0));
  kv.release(one);  // cached later than the others, with the default priority
  kv.set_time(1000);
  SequenceBlocks two = kv.compute(count_from(3000, 4));
  EXPECT_FALSE(kept(0)) << "its time to live is over";
  EXPECT_TRUE(kept(2000));
  SequenceBlocks three = kv.compute(count_from(4000, 4));
  EXPECT_FALSE(kept(2000));
  EXPECT_TRUE(kept(100));
  kv.expect_sound({&five, &two, &three});
}

TEST(Retention, AUseProlongsAndNeverShortens) {
  Cache kv(config({{0}}, 2));
  const Tokens kept = count_from(0, 5);
  kv.compute_and_leave(count_from(0, 4), {.priority = 3, .ttl_ms = 1000});
  kv.set_time(900);
  kv.compute_and_leave(kept, {.priority = 3, .ttl_ms = 1000});
  kv.set_time(1800);
  kv.compute_and_leave(kept, {.priority = 0});
  SequenceBlocks other = kv.compute(count_from(50, 4));
  EXPECT_EQ(kv.found(kept), 4);
  kv.set_time(1900);
  kv.leave(other, count_from(50, 4));
  kv.compute_and_leave(count_from(70, 4));
  EXPECT_EQ(kv.found(kept), 0);
  kv.expect_sound({});
}

TEST(HostTier, AnEvictedBlockComesBackFromItsSlot) {
  Cache kv(config({{0}}, 2, 4));
  kv.compute_and_leave(count_from(0, 8));
  kv.compute_and_leave(count_from(100, 8));
  ASSERT_EQ(kv.moves.swap_out.size(), 2u);
  EXPECT_EQ(kv.host_slots_used(), 2);
  EXPECT_EQ(kv.found(count_from(0, 20)), 8);
  const PrefixMatch match = kv.match(count_from(0, 8), "");
  EXPECT_EQ(match.physical_blocks, 0);
  EXPECT_EQ(match.needed(), 2);  // one for the first block, one for three tokens of the second
  const std::vector<BlockSwap> out = kv.moves.swap_out;
  SequenceBlocks back = kv.compute(count_from(0, 8));
  EXPECT_EQ(kv.moves.copies.size(), 0u);
  ASSERT_EQ(kv.moves.swap_in.size(), 2u);
  for (const BlockSwap& in : kv.moves.swap_in) {
    EXPECT_TRUE(std::ranges::any_of(
        out, [&](const BlockSwap& swap) { return swap.host_slot == in.host_slot; }));
  }
  EXPECT_EQ(kv.swapped_in(), 2);
  kv.expect_sound({&back});
  // Evicted again, it is in the host tier already.
  kv.leave(back, count_from(0, 8));
  const int64_t before = kv.swapped_out();
  kv.compute_and_leave(count_from(200, 4));
  EXPECT_EQ(kv.swapped_out(), before);
}

TEST(HostTier, WhatIsNotWorthItIsForgotten) {
  Cache kv(config({{0}}, 2, 4));
  SequenceBlocks a = kv.compute(count_from(0, 8));
  kv.leave(a, count_from(0, 8), Afterlife::cached);
  EXPECT_EQ(kv.found(count_from(0, 20)), 8);  // as long as nobody needs the room
  kv.compute_and_leave(count_from(100, 8));
  EXPECT_EQ(kv.host_slots_used(), 0);
  EXPECT_EQ(kv.found(count_from(0, 20)), 0);
}

TEST(HostTier, TheOldestSlotIsDroppedAndReported) {
  Cache kv(config({{0}}, 1, 2));
  for (const TokenId first : {0, 100, 200}) kv.compute_and_leave(count_from(first, 4));
  EXPECT_EQ(kv.host_slots_used(), 2);
  EXPECT_TRUE(kv.moves.spills.empty());
  kv.compute_and_leave(count_from(300, 4));
  ASSERT_EQ(kv.moves.spills.size(), 1u);
  EXPECT_EQ(kv.moves.spills[0].tokens, count_from(0, 4));
  EXPECT_EQ(kv.moves.spills[0].host_slot, kv.moves.swap_out[0].host_slot);
  EXPECT_EQ(kv.found(count_from(0, 5)), 0);
  EXPECT_EQ(kv.found(count_from(100, 5)), 4);
  kv.expect_sound({});
}

TEST(HostTier, AnIdleCacheGivesItsSlotsBack) {
  Cache kv(config({{0}}, 2, 4));
  for (const TokenId first : {0, 100, 200}) kv.compute_and_leave(count_from(first, 8));
  EXPECT_EQ(kv.host_slots_used(), 4);
  kv.release_idle();
  EXPECT_EQ(kv.host_slots_used(), 0);
  EXPECT_EQ(kv.found(count_from(0, 20)), 0);
  kv.expect_sound({});
  // All of them can be had again.
  for (const TokenId first : {0, 100, 200}) kv.compute_and_leave(count_from(first, 8));
  EXPECT_EQ(kv.host_slots_used(), 4);
  kv.expect_sound({});
}

TEST(HostTier, ASlotThatAStepUsesIsNotGivenAway) {
  KvCache kv(config({{0}}, 1, 1));
  const auto step = [&](TokenId first) {
    const Tokens tokens = count_from(first, 4);
    SequenceBlocks blocks;
    adopt(kv, blocks, {}, "");
    make_writable(kv, blocks, 0, 4);
    kv.index_blocks(blocks, tokens, 4);
    kv.begin_step();
    return blocks;
  };
  SequenceBlocks a = step(0);
  kv.end_step();
  kv.release(a);
  SequenceBlocks b = step(100);  // sends the first to the only slot
  EXPECT_EQ(kv.swapped_out(), 1);
  kv.end_step();
  kv.begin_step();
  kv.end_step();
  kv.release(b);
  BlockMoves moves;
  kv.drain_moves(moves);
  // The hit reads the slot in the same step in which its block is evicted.
  const Tokens tokens = count_from(0, 6);
  SequenceBlocks c;
  adopt(kv, c, kv.match(tokens, ""), "");
  kv.drain_moves(moves);
  EXPECT_EQ(moves.swap_in.size(), 1u);
  EXPECT_TRUE(moves.swap_out.empty());
  EXPECT_EQ(kv.check_integrity(std::vector<const SequenceBlocks*>{&c}), std::nullopt);
}

TEST(HostTier, TakesContentFromElsewhere) {
  Cache kv(config({{0}, {5}}, 20, 4));
  const Tokens tokens = count_from(0, 6);
  const Tokens whole(tokens.begin(), tokens.begin() + 4);
  for (const int32_t group : {0, 1}) {
    EXPECT_NE(kv.offer_host_block(whole, "", group), kNoSlot);
    EXPECT_NE(kv.offer_host_block(tokens, "", group), kNoSlot);
    EXPECT_EQ(kv.offer_host_block(whole, "", group), kNoSlot) << "it is known";
  }
  kv.expect_sound({});
  EXPECT_EQ(kv.found(count_from(0, 20)), 6);
  EXPECT_EQ(kv.found(count_from(0, 20), "salt"), 0);
  SequenceBlocks a = kv.compute(count_from(0, 20));
  EXPECT_EQ(kv.moves.swap_in.size(), 4u);
  kv.expect_sound({&a});
}

}  // namespace
}  // namespace octavo
