// EntryTable: the prefix index's way from a hash to the entries that may have it.
//
// Open addressing with linear probing, at most half full. A slot keeps 32 bits of its entry's hash,
// so that looking up, erasing and growing visit no entries but those that are most likely meant:
// at random places of a large memory, each would cost a miss of the processor's cache.
//
// Insert, find and erase are O(1) expected. Not thread safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace octavo {

using EntryId = int32_t;
inline constexpr EntryId kNoEntry = -1;

class EntryTable {
 public:
  EntryTable();

  // The first entry for which is_wanted(entry) is true, of those that may have the hash and perhaps
  // others; kNoEntry when there is none.
  template <class IsWanted>
  EntryId find(uint64_t hash, IsWanted is_wanted) const {
    for (size_t at = home(tag_of(hash)); slots_[at].entry != kNoEntry; at = after(at)) {
      const Slot& slot = slots_[at];
      if (slot.tag == tag_of(hash) && is_wanted(slot.entry)) return slot.entry;
    }
    return kNoEntry;
  }

  void insert(uint64_t hash, EntryId entry);  // which must not be in the table
  void erase(uint64_t hash, EntryId entry);   // which must be there, inserted with that hash
  size_t size() const { return size_; }

 private:
  struct Slot {
    uint32_t tag = 0;
    EntryId entry = kNoEntry;
  };

  static uint32_t tag_of(uint64_t hash) { return static_cast<uint32_t>(hash); }
  size_t home(uint32_t tag) const { return tag & (slots_.size() - 1); }
  size_t after(size_t slot) const { return (slot + 1) & (slots_.size() - 1); }
  void place(Slot slot);

  std::vector<Slot> slots_;  // a power of two
  size_t size_ = 0;
};

}  // namespace octavo
