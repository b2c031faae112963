#include "kv/prefix_index.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

using Tokens = std::vector<TokenId>;

uint64_t same_hash(uint64_t /*parent_hash*/, std::span<const TokenId> /*tokens*/,
                   std::string_view /*extra_key*/) {
  return 42;
}

// With real hashes and with all hashes equal: a collision must only cost time.
class PrefixIndexTest : public testing::TestWithParam<BlockHash> {
 protected:
  PrefixIndex index_{2, 2, 100, GetParam()};

  void expect_sound(const std::vector<int32_t>& outside = {}) {
    EXPECT_EQ(index_.check_integrity(outside), std::nullopt);
  }
};

INSTANTIATE_TEST_SUITE_P(Hashes, PrefixIndexTest, testing::Values(xxh3_block_hash, same_hash));

TEST_P(PrefixIndexTest, FindsOnlyEqualParentTokensAndKey) {
  const EntryId a = index_.find_or_add(kRootEntry, Tokens{1, 2}, "key");
  index_.attach(a, 0, 0);
  const EntryId b = index_.find_or_add(a, Tokens{3, 4}, "key");
  index_.attach(b, 0, 1);
  EXPECT_EQ(index_.find(kRootEntry, Tokens{1, 2}, "key"), a);
  EXPECT_EQ(index_.find(a, Tokens{3, 4}, "key"), b);
  EXPECT_EQ(index_.find(kRootEntry, Tokens{1, 2}, ""), kNoEntry);
  EXPECT_EQ(index_.find(kRootEntry, Tokens{1, 2}, "kez"), kNoEntry);
  EXPECT_EQ(index_.find(kRootEntry, Tokens{3, 4}, "key"), kNoEntry);
  EXPECT_EQ(index_.find(a, Tokens{1, 2}, "key"), kNoEntry);
  EXPECT_EQ(index_.find(a, Tokens{3, 5}, "key"), kNoEntry);
  EXPECT_EQ(index_.find(b, Tokens{3, 4}, "key"), kNoEntry);
  expect_sound();
}

TEST_P(PrefixIndexTest, EqualContentSharesOneEntryPerGroup) {
  const EntryId a = index_.find_or_add(kRootEntry, Tokens{1, 2}, "");
  index_.attach(a, 0, 5);
  EXPECT_EQ(index_.find_or_add(kRootEntry, Tokens{1, 2}, ""), a);
  index_.attach(a, 0, 6);
  EXPECT_EQ(index_.block(a, 1), kNoBlock);
  index_.attach(a, 1, 7);
  EXPECT_EQ(index_.size(), 1);
  index_.detach(5);
  EXPECT_EQ(index_.block(a, 0), 6);
  EXPECT_EQ(index_.block(a, 1), 7);
  expect_sound();
  index_.detach(6);
  EXPECT_EQ(index_.block(a, 0), kNoBlock);
  index_.detach(7);
  EXPECT_EQ(index_.size(), 0);
  EXPECT_EQ(index_.find(kRootEntry, Tokens{1, 2}, ""), kNoEntry);
}

TEST_P(PrefixIndexTest, AnEntryLivesAsLongAsSomethingNeedsIt) {
  const EntryId a = index_.find_or_add(kRootEntry, Tokens{1, 2}, "");
  index_.attach(a, 0, 0);
  const EntryId b = index_.find_or_add(a, Tokens{3, 4}, "");
  index_.add_reference(b);
  index_.detach(0);
  EXPECT_EQ(index_.size(), 2);  // a has no block and still leads to b
  expect_sound({0, 1});
  index_.drop_reference(b);
  EXPECT_EQ(index_.size(), 0);
  expect_sound();
}

TEST_P(PrefixIndexTest, AReusedRecordIsNotTheOldParent) {
  const EntryId a = index_.find_or_add(kRootEntry, Tokens{1, 2}, "");
  index_.attach(a, 0, 0);
  const EntryId child = index_.find_or_add(a, Tokens{3, 4}, "");
  index_.attach(child, 0, 1);
  index_.detach(1);
  index_.detach(0);
  const EntryId other = index_.find_or_add(kRootEntry, Tokens{9, 9}, "");
  EXPECT_TRUE(other == a || other == child);  // a record is used again
  index_.attach(other, 0, 0);
  EXPECT_EQ(index_.find(other, Tokens{3, 4}, ""), kNoEntry);
}

TEST_P(PrefixIndexTest, StopsAddingAtItsLimitAndGrowsUpToIt) {
  std::vector<EntryId> entries;
  for (TokenId token = 0; token < 100; ++token) {
    entries.push_back(index_.find_or_add(kRootEntry, Tokens{token, 0}, ""));
    ASSERT_NE(entries.back(), kNoEntry);
    index_.attach(entries.back(), 0, token);
  }
  EXPECT_EQ(index_.find_or_add(kRootEntry, Tokens{100, 0}, ""), kNoEntry);
  for (TokenId token = 0; token < 100; ++token) {
    EXPECT_EQ(index_.find(kRootEntry, Tokens{token, 0}, ""), entries[static_cast<size_t>(token)]);
  }
  expect_sound();
  index_.detach(50);
  EXPECT_NE(index_.find_or_add(kRootEntry, Tokens{100, 0}, ""), kNoEntry);
}

TEST(BlockHashTest, DependsOnParentTokensAndKey) {
  const Tokens tokens = {1, 2, 3};
  const uint64_t hash = xxh3_block_hash(1, tokens, "a");
  EXPECT_EQ(hash, xxh3_block_hash(1, tokens, "a"));
  EXPECT_NE(hash, xxh3_block_hash(2, tokens, "a"));
  EXPECT_NE(hash, xxh3_block_hash(1, tokens, "b"));
  EXPECT_NE(hash, xxh3_block_hash(1, tokens, ""));
  EXPECT_NE(hash, xxh3_block_hash(1, Tokens{1, 2, 4}, "a"));
}

}  // namespace
}  // namespace octavo
