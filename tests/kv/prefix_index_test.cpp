#include "kv/prefix_index.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

using Tokens = std::vector<TokenId>;

uint64_t same_hash(uint64_t /*parent_hash*/, std::span<const std::byte> /*content*/) {
  return 42;
}

// With real hashes and with all hashes equal: a collision must only cost time.
class PrefixIndexTest : public testing::TestWithParam<ContentHash> {
 protected:
  PrefixIndex index_{2, 2, 101, GetParam()};
  const EntryId root_ = index_.find_or_add_root("");

  void SetUp() override { index_.add_reference(root_); }

  // `others` are references beside the one to the root.
  void expect_sound(const std::vector<EntryId>& others = {}) {
    std::vector<int32_t> outside(static_cast<size_t>(index_.slots()), 0);
    ++outside[static_cast<size_t>(root_)];
    for (const EntryId entry : others) ++outside[static_cast<size_t>(entry)];
    EXPECT_EQ(index_.check_integrity(outside), std::nullopt);
  }
};

INSTANTIATE_TEST_SUITE_P(Hashes, PrefixIndexTest, testing::Values(xxh3_hash, same_hash));

TEST_P(PrefixIndexTest, FindsOnlyEqualParentTokensAndKey) {
  const EntryId salted = index_.find_or_add_root("key");
  const EntryId a = index_.find_or_add(salted, Tokens{1, 2});
  index_.attach(a, 0, 0);
  const EntryId b = index_.find_or_add(a, Tokens{3, 4});
  index_.attach(b, 0, 1);
  EXPECT_EQ(index_.find_root("key"), salted);
  EXPECT_EQ(index_.find(salted, Tokens{1, 2}), a);
  EXPECT_EQ(index_.find(a, Tokens{3, 4}), b);
  EXPECT_EQ(index_.find_root("kez"), kNoEntry);
  EXPECT_EQ(index_.find(root_, Tokens{1, 2}), kNoEntry);
  EXPECT_EQ(index_.find(salted, Tokens{3, 4}), kNoEntry);
  EXPECT_EQ(index_.find(a, Tokens{1, 2}), kNoEntry);
  EXPECT_EQ(index_.find(a, Tokens{3, 5}), kNoEntry);
  EXPECT_EQ(index_.find(a, Tokens{3}), kNoEntry);
  EXPECT_EQ(index_.find(b, Tokens{3, 4}), kNoEntry);
  EXPECT_EQ(index_.prefix(b), (Tokens{1, 2, 3, 4}));
  EXPECT_EQ(index_.extra_key(b), "key");
  expect_sound();
}

TEST_P(PrefixIndexTest, ARootLivesAsLongAsSomethingBelowIt) {
  const EntryId salted = index_.find_or_add_root("key");
  index_.attach(index_.find_or_add(salted, Tokens{1}), 0, 0);
  EXPECT_EQ(index_.find_or_add_root("key"), salted);
  EXPECT_EQ(index_.size(), 3);
  index_.detach(0);
  EXPECT_EQ(index_.find_root("key"), kNoEntry);
  EXPECT_EQ(index_.find_root(""), root_);
  EXPECT_EQ(index_.size(), 1);
  expect_sound();
}

TEST_P(PrefixIndexTest, EqualContentSharesOneEntryPerGroup) {
  const EntryId a = index_.find_or_add(root_, Tokens{1, 2});
  index_.attach(a, 0, 5);
  EXPECT_EQ(index_.find_or_add(root_, Tokens{1, 2}), a);
  index_.attach(a, 0, 6);
  EXPECT_EQ(index_.block(a, 1), kNoBlock);
  index_.attach(a, 1, 7);
  EXPECT_EQ(index_.size(), 2);
  index_.detach(5);
  EXPECT_EQ(index_.block(a, 0), 6);
  EXPECT_EQ(index_.block(a, 1), 7);
  expect_sound();
  index_.detach(6);
  EXPECT_EQ(index_.block(a, 0), kNoBlock);
  index_.detach(7);
  EXPECT_EQ(index_.size(), 1);
  EXPECT_EQ(index_.find(root_, Tokens{1, 2}), kNoEntry);
}

TEST_P(PrefixIndexTest, AnEntryLivesAsLongAsSomethingNeedsIt) {
  const EntryId a = index_.find_or_add(root_, Tokens{1, 2});
  index_.attach(a, 0, 0);
  const EntryId b = index_.find_or_add(a, Tokens{3, 4});
  index_.add_reference(b);
  index_.detach(0);
  EXPECT_EQ(index_.size(), 3);  // a has no block and still leads to b
  expect_sound({b});
  index_.drop_reference(b);
  EXPECT_EQ(index_.size(), 1);
  expect_sound();
}

TEST_P(PrefixIndexTest, AReusedRecordIsNotTheOldParent) {
  const EntryId a = index_.find_or_add(root_, Tokens{1, 2});
  index_.attach(a, 0, 0);
  const EntryId child = index_.find_or_add(a, Tokens{3, 4});
  index_.attach(child, 0, 1);
  index_.detach(1);
  index_.detach(0);
  const EntryId other = index_.find_or_add(root_, Tokens{9, 9});
  EXPECT_TRUE(other == a || other == child);  // a record is used again
  index_.attach(other, 0, 0);
  EXPECT_EQ(index_.find(other, Tokens{3, 4}), kNoEntry);
}

TEST_P(PrefixIndexTest, StopsAddingAtItsLimitAndGrowsUpToIt) {
  std::vector<EntryId> entries;
  for (TokenId token = 0; token < 100; ++token) {
    entries.push_back(index_.find_or_add(root_, Tokens{token, 0}));
    ASSERT_NE(entries.back(), kNoEntry);
    index_.attach(entries.back(), 0, token);
  }
  EXPECT_EQ(index_.find_or_add(root_, Tokens{100, 0}), kNoEntry);
  for (TokenId token = 0; token < 100; ++token) {
    EXPECT_EQ(index_.find(root_, Tokens{token, 0}), entries[static_cast<size_t>(token)]);
  }
  expect_sound();
  index_.detach(50);
  EXPECT_NE(index_.find_or_add(root_, Tokens{100, 0}), kNoEntry);
}

TEST(ContentHashTest, DependsOnParentAndContent) {
  const Tokens tokens = {1, 2, 3};
  const Tokens others = {1, 2, 4};
  const auto content = std::as_bytes(std::span(tokens));
  const uint64_t hash = xxh3_hash(1, content);
  EXPECT_EQ(hash, xxh3_hash(1, content));
  EXPECT_NE(hash, xxh3_hash(2, content));
  EXPECT_NE(hash, xxh3_hash(1, content.first(8)));
  EXPECT_NE(hash, xxh3_hash(1, std::as_bytes(std::span(others))));
}

}  // namespace
}  // namespace octavo
