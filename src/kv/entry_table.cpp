#include "kv/entry_table.h"

namespace octavo {

namespace {

constexpr size_t kFirstSlots = 64;

}  // namespace

EntryTable::EntryTable() : slots_(kFirstSlots) {}

void EntryTable::place(Slot slot) {
  size_t at = home(slot.tag);
  while (slots_[at].entry != kNoEntry) at = after(at);
  slots_[at] = slot;
}

void EntryTable::insert(uint64_t hash, EntryId entry) {
  if (2 * ++size_ > slots_.size()) {
    std::vector<Slot> old(2 * slots_.size());
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.entry != kNoEntry) place(slot);
    }
  }
  place({tag_of(hash), entry});
}

void EntryTable::erase(uint64_t hash, EntryId entry) {
  size_t hole = home(tag_of(hash));
  while (slots_[hole].entry != entry) hole = after(hole);
  // A search ends at an empty slot, so what follows without a gap moves up, where that is not
  // before its home.
  for (size_t at = after(hole); slots_[at].entry != kNoEntry; at = after(at)) {
    const size_t mask = slots_.size() - 1;
    const size_t from_home = (at - home(slots_[at].tag)) & mask;
    const size_t from_hole = (at - hole) & mask;
    if (from_home < from_hole) continue;
    slots_[hole] = slots_[at];
    hole = at;
  }
  slots_[hole] = {};
  --size_;
}

}  // namespace octavo
