#include "kv/block_pool.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>

namespace octavo {
namespace {

std::vector<ExtentId> new_extents(BlockPool& pool) {
  std::vector<ExtentId> extents;
  pool.drain_new_extents(extents);
  return extents;
}

TEST(BlockPool, CommitsAnExtentOnlyWhenNoCommittedBlockIsFree) {
  BlockPool pool(10, 4);  // the last extent has two blocks
  EXPECT_EQ(pool.counts().uncommitted, 10);
  EXPECT_EQ(pool.take().block, 0);
  EXPECT_EQ(new_extents(pool), std::vector<ExtentId>{0});
  for (BlockId block = 1; block < 4; ++block) EXPECT_EQ(pool.take().block, block);
  EXPECT_EQ(new_extents(pool), std::vector<ExtentId>{});
  pool.remove_owner(2);
  EXPECT_EQ(pool.take().block, 2);
  for (BlockId block = 4; block < 10; ++block) EXPECT_EQ(pool.take().block, block);
  EXPECT_EQ(new_extents(pool), (std::vector<ExtentId>{1, 2}));
  EXPECT_EQ(pool.take().block, kNoBlock);
  EXPECT_EQ(pool.check_integrity(), std::nullopt);
}

TEST(BlockPool, TakesFreeThenNewThenTheOldestCached) {
  BlockPool pool(4, 2);
  for (int i = 0; i < 2; ++i) pool.take();
  pool.set_content(0, true);
  pool.set_content(1, true);
  pool.remove_owner(1);  // cached before block 0: the older one
  pool.remove_owner(0);
  EXPECT_EQ(pool.counts().cached, 2);
  EXPECT_EQ(pool.next_to_evict(), 1);
  // A new extent comes before the loss of something cached.
  for (BlockId block = 2; block < 4; ++block) {
    const BlockPool::Taken taken = pool.take();
    EXPECT_EQ(taken.block, block);
    EXPECT_FALSE(taken.evicted);
  }
  EXPECT_EQ(pool.available(), 2);
  const BlockPool::Taken taken = pool.take();
  EXPECT_EQ(taken.block, 1);
  EXPECT_TRUE(taken.evicted);
  EXPECT_FALSE(pool.has_content(1));
}

TEST(BlockPool, ATouchedBlockIsEvictedLast) {
  BlockPool pool(2, 2);
  for (BlockId block = 0; block < 2; ++block) {
    pool.take();
    pool.set_content(block, true);
  }
  pool.remove_owner(0);
  pool.remove_owner(1);
  pool.add_owner(0);
  EXPECT_EQ(pool.counts().in_use, 1);
  pool.remove_owner(0);
  EXPECT_EQ(pool.take().block, 1);
  EXPECT_EQ(pool.take().block, 0);
}

TEST(BlockPool, AHeldBlockIsNotTakenUntilItsStepIsOver) {
  BlockPool pool(1, 1);
  pool.take();
  pool.hold(0);
  pool.remove_owner(0);
  EXPECT_EQ(pool.counts().held, 1);
  EXPECT_EQ(pool.available(), 0);
  EXPECT_EQ(pool.take().block, kNoBlock);
  pool.release_hold(0);
  EXPECT_EQ(pool.counts().held, 0);
  EXPECT_EQ(pool.take().block, 0);
}

TEST(BlockPool, AHeldBlockCanBeOwnedAgain) {
  BlockPool pool(1, 1);
  pool.take();
  pool.set_content(0, true);
  pool.hold(0);
  pool.remove_owner(0);
  pool.add_owner(0);
  pool.release_hold(0);
  EXPECT_EQ(pool.counts().in_use, 1);
  EXPECT_EQ(pool.counts().held, 0);
  EXPECT_EQ(pool.check_integrity(), std::nullopt);
}

TEST(BlockPool, CountsSharedBlocks) {
  BlockPool pool(2, 2);
  pool.take();
  pool.add_owner(0);
  pool.add_owner(0);
  EXPECT_EQ(pool.counts().shared, 1);
  pool.remove_owner(0);
  EXPECT_EQ(pool.counts().shared, 1);
  pool.remove_owner(0);
  EXPECT_EQ(pool.counts().shared, 0);
  EXPECT_EQ(pool.owners(0), 1);
}

TEST(BlockPool, GivesBackOnlyExtentsThatAreWhollyFree) {
  BlockPool pool(6, 2);
  for (int i = 0; i < 6; ++i) pool.take();
  new_extents(pool);
  for (const BlockId block : {0, 1, 2, 5, 4}) pool.remove_owner(block);
  EXPECT_EQ(pool.release_empty_extents(), (std::vector<ExtentId>{2, 0}));
  EXPECT_EQ(pool.counts().uncommitted, 4);
  EXPECT_FALSE(pool.is_committed(0));
  EXPECT_EQ(pool.check_integrity(), std::nullopt);
  // What is still committed is used first.
  EXPECT_EQ(pool.take().block, 2);
  EXPECT_EQ(pool.take().block, 0);
  EXPECT_EQ(new_extents(pool), std::vector<ExtentId>{0});
}

TEST(BlockPoolDeathTest, ABrokenCallStopsTheProgram) {
  BlockPool pool(2, 2);
  EXPECT_DEATH(pool.add_owner(0), "has no memory");
  pool.take();
  EXPECT_DEATH(pool.add_owner(1), "block 1 is free");
  pool.remove_owner(0);
  EXPECT_DEATH(pool.remove_owner(0), "no owner");
}

// Random calls against the plainest model there is: a map of owners and a deque in order of use.
TEST(BlockPool, BehavesAsAPlainModelUnderRandomCalls) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto below = [&](size_t n) { return static_cast<int32_t>(random() % n); };
    const int32_t blocks = 1 + below(20);
    BlockPool pool(blocks, 1 + below(6));
    std::map<BlockId, int32_t> owners;
    std::deque<BlockId> cached;
    for (int call = 0; call < 500; ++call) {
      const int32_t kind = below(4);
      if (kind == 0) {
        const BlockPool::Taken taken = pool.take();
        if (static_cast<int32_t>(owners.size()) == blocks) {
          EXPECT_EQ(taken.block, kNoBlock);
          continue;
        }
        ASSERT_FALSE(owners.contains(taken.block));
        EXPECT_EQ(taken.evicted, static_cast<int32_t>(owners.size() + cached.size()) == blocks);
        if (taken.evicted) {
          EXPECT_EQ(taken.block, cached.front());
          cached.pop_front();
        }
        owners[taken.block] = 1;
      } else if (kind == 1 && !cached.empty()) {
        const size_t i = static_cast<size_t>(below(cached.size()));
        pool.add_owner(cached[i]);
        owners[cached[i]] = 1;
        cached.erase(cached.begin() + static_cast<ptrdiff_t>(i));
      } else if (kind >= 2 && !owners.empty()) {
        const auto owner = std::next(owners.begin(), below(owners.size()));
        const BlockId block = owner->first;
        if (kind == 2 && below(2) == 0) {
          pool.add_owner(block);
          ++owner->second;
          continue;
        }
        if (below(2) == 0) pool.set_content(block, true);
        pool.remove_owner(block);
        if (--owner->second > 0) continue;
        owners.erase(owner);
        if (pool.is_cached(block)) cached.push_back(block);
      }
      ASSERT_EQ(pool.check_integrity(), std::nullopt);
      ASSERT_EQ(pool.counts().in_use, static_cast<int32_t>(owners.size()));
      ASSERT_EQ(pool.counts().cached, static_cast<int32_t>(cached.size()));
    }
  }
}

}  // namespace
}  // namespace octavo
