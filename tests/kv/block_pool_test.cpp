#include "kv/block_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

namespace octavo {
namespace {

// As everybody does: secured first.
BlockPool::Taken take(BlockPool& pool) {
  pool.secure(1);
  return pool.take();
}

// Memory of which others may have taken some: gives `left` more extents.
struct Memory {
  int32_t left = std::numeric_limits<int32_t>::max();
  std::vector<ExtentId> asked;  // in order

  ExtentSource source() {
    return [this](ExtentId extent) {
      asked.push_back(extent);
      return --left >= 0;
    };
  }
  std::vector<ExtentId> just_asked() { return std::exchange(asked, {}); }
};

TEST(BlockPool, CommitsAnExtentOnlyWhenNoCommittedBlockIsFree) {
  Memory memory;
  BlockPool pool(10, 4, memory.source());  // the last extent has two blocks
  EXPECT_EQ(pool.counts().uncommitted, 10);
  EXPECT_EQ(take(pool).block, 0);
  EXPECT_EQ(memory.just_asked(), std::vector<ExtentId>{0});
  for (BlockId block = 1; block < 4; ++block) EXPECT_EQ(take(pool).block, block);
  EXPECT_EQ(memory.just_asked(), std::vector<ExtentId>{});
  pool.remove_owner(2);
  EXPECT_EQ(take(pool).block, 2);
  for (BlockId block = 4; block < 10; ++block) EXPECT_EQ(take(pool).block, block);
  EXPECT_EQ(memory.just_asked(), (std::vector<ExtentId>{1, 2}));
  EXPECT_EQ(take(pool).block, kNoBlock);
  EXPECT_EQ(pool.check_integrity(), std::nullopt);
}

TEST(BlockPool, TakesFreeThenNewThenTheOldestCached) {
  BlockPool pool(4, 2);
  for (int i = 0; i < 2; ++i) take(pool);
  pool.set_content(0, true);
  pool.set_content(1, true);
  pool.remove_owner(1);  // cached before block 0: the older one
  pool.remove_owner(0);
  EXPECT_EQ(pool.counts().cached, 2);
  EXPECT_EQ(pool.next_to_evict(), 1);
  // A new extent comes before the loss of something cached.
  for (BlockId block = 2; block < 4; ++block) {
    const BlockPool::Taken taken = take(pool);
    EXPECT_EQ(taken.block, block);
    EXPECT_FALSE(taken.evicted);
  }
  EXPECT_EQ(pool.available(), 2);
  const BlockPool::Taken taken = take(pool);
  EXPECT_EQ(taken.block, 1);
  EXPECT_TRUE(taken.evicted);
  EXPECT_FALSE(pool.has_content(1));
}

TEST(BlockPool, ATouchedBlockIsEvictedLast) {
  BlockPool pool(2, 2);
  for (BlockId block = 0; block < 2; ++block) {
    take(pool);
    pool.set_content(block, true);
  }
  pool.remove_owner(0);
  pool.remove_owner(1);
  pool.add_owner(0);
  EXPECT_EQ(pool.counts().in_use, 1);
  pool.remove_owner(0);
  EXPECT_EQ(take(pool).block, 1);
  EXPECT_EQ(take(pool).block, 0);
}

TEST(BlockPool, AHeldBlockIsNotTakenUntilItsStepIsOver) {
  BlockPool pool(1, 1);
  take(pool);
  pool.hold(0);
  pool.remove_owner(0);
  EXPECT_EQ(pool.counts().held, 1);
  EXPECT_EQ(pool.available(), 0);
  EXPECT_EQ(take(pool).block, kNoBlock);
  pool.release_hold(0);
  EXPECT_EQ(pool.counts().held, 0);
  EXPECT_EQ(take(pool).block, 0);
}

TEST(BlockPool, AHeldBlockCanBeOwnedAgain) {
  BlockPool pool(1, 1);
  take(pool);
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
  take(pool);
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
  Memory memory;
  BlockPool pool(6, 2, memory.source());
  for (int i = 0; i < 6; ++i) take(pool);
  memory.just_asked();
  for (const BlockId block : {0, 1, 2, 5, 4}) pool.remove_owner(block);
  EXPECT_EQ(pool.release_empty_extents(), (std::vector<ExtentId>{2, 0}));
  EXPECT_EQ(pool.counts().uncommitted, 4);
  EXPECT_FALSE(pool.is_committed(0));
  EXPECT_EQ(pool.check_integrity(), std::nullopt);
  // What is still committed is used first.
  EXPECT_EQ(take(pool).block, 2);
  EXPECT_EQ(take(pool).block, 0);
  EXPECT_EQ(memory.just_asked(), std::vector<ExtentId>{0});
}

TEST(BlockPool, SecuresAsMuchMemoryAsIsTaken) {
  Memory memory;
  BlockPool pool(10, 2, memory.source());
  EXPECT_TRUE(pool.secure(3));
  EXPECT_EQ(memory.just_asked(), (std::vector<ExtentId>{0, 1}));
  EXPECT_TRUE(pool.secure(4));
  EXPECT_FALSE(pool.secure(11)) << "there are not so many";
  EXPECT_EQ(memory.just_asked(), std::vector<ExtentId>{});
  for (BlockId block = 0; block < 3; ++block) EXPECT_EQ(pool.take().block, block);
  pool.set_content(0, true);
  pool.set_content(1, true);
  pool.remove_owner(0);
  pool.remove_owner(1);
  // What is to be put to use needs no new memory, nor may it be evicted.
  EXPECT_TRUE(pool.secure(1, 2));
  EXPECT_EQ(memory.just_asked(), std::vector<ExtentId>{});
  EXPECT_TRUE(pool.secure(7, 2));
  EXPECT_FALSE(pool.secure(8, 2));
  EXPECT_TRUE(pool.secure(9, 0));
  EXPECT_EQ(pool.check_integrity(), std::nullopt);
}

TEST(BlockPool, RefusedMemoryMakesItSmallForASecond) {
  Memory memory{.left = 1};
  BlockPool pool(8, 2, memory.source());
  pool.set_time(5000);
  EXPECT_EQ(pool.available(), 8);
  EXPECT_FALSE(pool.secure(3));
  EXPECT_EQ(memory.just_asked(), (std::vector<ExtentId>{0, 1}));
  EXPECT_TRUE(pool.is_short());
  EXPECT_EQ(pool.available(), 2);
  EXPECT_EQ(pool.counts().uncommitted, 6);
  EXPECT_EQ(pool.counts().free, 2);
  EXPECT_EQ(pool.check_integrity(), std::nullopt);

  // Meanwhile something cached is evicted, and nobody is asked.
  EXPECT_TRUE(pool.secure(2));
  for (BlockId block = 0; block < 2; ++block) {
    EXPECT_EQ(pool.take().block, block);
    pool.set_content(block, true);
  }
  EXPECT_FALSE(pool.secure(1));
  pool.remove_owner(1);
  memory.left = 10;
  pool.set_time(5999);
  EXPECT_FALSE(pool.secure(1, 1));
  EXPECT_TRUE(pool.secure(1));
  EXPECT_TRUE(pool.take().evicted);
  EXPECT_EQ(memory.just_asked(), std::vector<ExtentId>{});

  pool.set_time(6000);
  EXPECT_FALSE(pool.is_short());
  EXPECT_EQ(pool.available(), 6);
  EXPECT_TRUE(pool.secure(6));
  EXPECT_EQ(memory.just_asked(), (std::vector<ExtentId>{1, 2, 3}));
  EXPECT_EQ(pool.check_integrity(), std::nullopt);
}

TEST(BlockPoolDeathTest, ABrokenCallStopsTheProgram) {
  BlockPool pool(2, 2);
  EXPECT_DEATH(pool.add_owner(0), "has no memory");
  take(pool);
  EXPECT_DEATH(pool.add_owner(1), "block 1 is free");
  pool.remove_owner(0);
  EXPECT_DEATH(pool.remove_owner(0), "no owner");
}

// Random calls with memory that comes and goes: what was secured is there, a refusal lasts a
// second.
TEST(BlockPool, MakesDoWithTheMemoryThereIs) {
  int refusals = 0;
  int evictions = 0;
  for (uint32_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto below = [&](int32_t n) {
      return static_cast<int32_t>(random() % static_cast<uint32_t>(n));
    };
    const int32_t blocks = 1 + below(40);
    const int32_t extent_blocks = 1 + below(6);
    int64_t now_ms = 0;
    int64_t refused_ms = -1000;
    std::set<ExtentId> given;
    BlockPool pool(blocks, extent_blocks, [&](ExtentId extent) {
      EXPECT_FALSE(given.contains(extent));
      EXPECT_GE(now_ms, refused_ms + 1000) << "asked again too early";
      if (below(3) > 0) return given.insert(extent).second;
      refused_ms = now_ms;
      ++refusals;
      return false;
    });
    std::vector<BlockId> used;
    for (int call = 0; call < 300; ++call) {
      now_ms += below(3) == 0 ? below(900) : 0;
      pool.set_time(now_ms);
      if (below(8) == 0) {
        for (const ExtentId extent : pool.release_empty_extents())
          EXPECT_EQ(given.erase(extent), 1);
      }
      const PoolCounts before = pool.counts();
      const int32_t count = below(blocks + 2);
      const int32_t kept = below(before.cached + 1);
      const int32_t available = pool.available();
      const bool secured = pool.secure(count, kept);
      const PoolCounts after = pool.counts();
      EXPECT_EQ(after.cached, before.cached);
      EXPECT_EQ(secured, count <= before.free || after.free + after.cached >= count + kept);
      EXPECT_TRUE(secured || pool.is_short() || available < count + kept);
      EXPECT_LE(after.free, std::max(before.free, count + extent_blocks - 1)) << "more than needed";
      for (int32_t i = 0; i < count && secured; ++i) {
        const BlockPool::Taken taken = pool.take();
        ASSERT_NE(taken.block, kNoBlock);
        EXPECT_TRUE(given.contains(taken.block / extent_blocks)) << "it has no memory";
        evictions += taken.evicted ? 1 : 0;
        used.push_back(taken.block);
      }
      EXPECT_TRUE(!secured || pool.counts().cached >= kept);
      while (!used.empty() && below(count + 2) > 0) {
        if (below(3) > 0) pool.set_content(used.back(), true);
        pool.remove_owner(used.back());
        used.pop_back();
      }
      ASSERT_EQ(pool.check_integrity(), std::nullopt);
      for (BlockId block = 0; block < blocks; ++block) {
        ASSERT_EQ(pool.is_committed(block), given.contains(block / extent_blocks));
      }
    }
  }
  EXPECT_GT(refusals, 500);
  EXPECT_GT(evictions, 500);
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
        const BlockPool::Taken taken = take(pool);
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
