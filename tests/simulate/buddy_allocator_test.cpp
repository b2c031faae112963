#include "simulate/buddy_allocator.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace octavo::simulate {
namespace {

TEST(BuddyAllocator, RoundsUpToPowersOfTwo) {
  EXPECT_EQ(BuddyAllocator::range_length(1), 1);
  EXPECT_EQ(BuddyAllocator::range_length(2), 2);
  EXPECT_EQ(BuddyAllocator::range_length(3), 4);
  EXPECT_EQ(BuddyAllocator::range_length(1024), 1024);
  EXPECT_EQ(BuddyAllocator::range_length(1025), 2048);
}

TEST(BuddyAllocator, SplitsAndJoins) {
  BuddyAllocator memory(8);
  EXPECT_EQ(memory.allocate(1), 0);
  EXPECT_EQ(memory.allocate(2), 2);
  EXPECT_EQ(memory.longest_range(), 4);
  EXPECT_EQ(memory.allocate(5), std::nullopt);
  EXPECT_EQ(memory.allocate(4), 4);
  EXPECT_EQ(memory.free_slots(), 1);
  EXPECT_EQ(memory.allocate(2), std::nullopt);
  memory.free(0, 1);
  memory.free(4, 4);
  EXPECT_EQ(memory.longest_range(), 4);  // [0, 2) is free and [2, 4) is not
  memory.free(2, 2);
  EXPECT_EQ(memory.longest_range(), 8);
}

// 7 ranges of 2048 fit the paper's 15,728 slots; what is left is too short for another.
TEST(BuddyAllocator, TakesAnArenaOfAnyLength) {
  BuddyAllocator memory(15728);
  for (int i = 0; i < 7; ++i) EXPECT_NE(memory.allocate(2048), std::nullopt) << i;
  EXPECT_EQ(memory.allocate(2048), std::nullopt);
  EXPECT_EQ(memory.free_slots(), 15728 - 7 * 2048);
  EXPECT_EQ(memory.longest_range(), 1024);
}

TEST(BuddyAllocator, OfNothingGivesNothing) {
  BuddyAllocator memory(0);
  EXPECT_EQ(memory.allocate(1), std::nullopt);
  EXPECT_EQ(memory.longest_range(), 0);
}

// Ranges never overlap, lie inside the arena at multiples of their length, and when all are given
// back the arena is as it was.
TEST(BuddyAllocator, KeepsItsRangesApart) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const auto slots = static_cast<int64_t>(1 + random() % 5000);
    BuddyAllocator memory(slots);
    const int64_t longest = memory.longest_range();
    std::map<int64_t, int64_t> ranges;  // first slot: slots asked for
    int64_t taken = 0;
    for (int i = 0; i < 2000; ++i) {
      if (!ranges.empty() && random() % 2 == 0) {
        const auto chosen =
            std::next(ranges.begin(), static_cast<int64_t>(random() % ranges.size()));
        memory.free(chosen->first, chosen->second);
        taken -= BuddyAllocator::range_length(chosen->second);
        ranges.erase(chosen);
      } else {
        const auto wanted = static_cast<int64_t>(1 + random() % 300);
        const int64_t length = BuddyAllocator::range_length(wanted);
        const int64_t longest_free = memory.longest_range();
        const std::optional<int64_t> first = memory.allocate(wanted);
        ASSERT_EQ(first.has_value(), length <= longest_free);
        if (!first) continue;
        ASSERT_EQ(*first % length, 0);
        ASSERT_LE(*first + length, slots);
        const auto next = ranges.lower_bound(*first);
        if (next != ranges.end()) {
          ASSERT_LE(*first + length, next->first);
        }
        if (next != ranges.begin()) {
          const auto& [before, asked] = *std::prev(next);
          ASSERT_LE(before + BuddyAllocator::range_length(asked), *first);
        }
        ranges[*first] = wanted;
        taken += length;
      }
      ASSERT_EQ(memory.free_slots(), slots - taken);
    }
    for (const auto& [first, asked] : ranges) memory.free(first, asked);
    EXPECT_EQ(memory.free_slots(), slots);
    EXPECT_EQ(memory.longest_range(), longest);
  }
}

}  // namespace
}  // namespace octavo::simulate
