#include "kv/entry_table.h"

#include <gtest/gtest.h>

#include <random>
#include <unordered_map>

namespace octavo {
namespace {

EntryId find_exactly(const EntryTable& table, uint64_t hash, EntryId wanted) {
  return table.find(hash, [wanted](EntryId entry) { return entry == wanted; });
}

TEST(EntryTable, FindsTheWantedOneOfEqualHashes) {
  EntryTable table;
  for (EntryId entry = 0; entry < 10; ++entry) table.insert(7, entry);
  for (EntryId entry = 0; entry < 10; ++entry) EXPECT_EQ(find_exactly(table, 7, entry), entry);
  EXPECT_EQ(find_exactly(table, 7, 10), kNoEntry);
  EXPECT_EQ(find_exactly(table, 8, 3), kNoEntry);
  table.erase(7, 3);
  EXPECT_EQ(find_exactly(table, 7, 3), kNoEntry);
  EXPECT_EQ(find_exactly(table, 7, 9), 9);
}

// Against a map, with hashes that crowd in few places, the table's end and beginning among them.
TEST(EntryTable, AgreesWithAMap) {
  for (const uint64_t crowding : {uint64_t{0x3F}, uint64_t{0xC000'0000'0000'003F}, ~uint64_t{0}}) {
    std::mt19937_64 random(crowding);
    EntryTable table;
    std::unordered_map<EntryId, uint64_t> hashes;
    for (int i = 0; i < 20000; ++i) {
      const auto entry = static_cast<EntryId>(random() % 300);
      const auto known = hashes.find(entry);
      if (known != hashes.end()) {
        ASSERT_EQ(find_exactly(table, known->second, entry), entry) << crowding;
        table.erase(known->second, entry);
        ASSERT_EQ(find_exactly(table, known->second, entry), kNoEntry) << crowding;
        hashes.erase(known);
      } else {
        const uint64_t hash = random() & crowding;
        table.insert(hash, entry);
        hashes[entry] = hash;
      }
    }
    for (const auto& [entry, hash] : hashes) EXPECT_EQ(find_exactly(table, hash, entry), entry);
  }
}

}  // namespace
}  // namespace octavo
