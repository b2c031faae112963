#include "kv/host_tier.h"

#include "base/check.h"

namespace octavo {

HostTier::HostTier(int32_t slots) {
  OCTAVO_CHECK(slots >= 0);
  records_.resize(static_cast<size_t>(slots) + 1);
  // The lowest slots are used first, so that little memory is touched while few are needed.
  for (int32_t index = slots; index > 0; --index) {
    records_[static_cast<size_t>(index)].next = first_free_;
    first_free_ = index;
  }
}

void HostTier::unlink(int32_t index) {
  const Record& r = records_[static_cast<size_t>(index)];
  records_[static_cast<size_t>(r.prev)].next = r.next;
  records_[static_cast<size_t>(r.next)].prev = r.prev;
}

void HostTier::link_last(int32_t index) {
  Record& head = records_.front();
  Record& r = records_[static_cast<size_t>(index)];
  r.prev = head.prev;
  r.next = 0;
  records_[static_cast<size_t>(head.prev)].next = index;
  head.prev = index;
}

HostTier::Taken HostTier::take(EntryId entry, int32_t group, uint64_t ended) {
  Taken taken;
  int32_t index = first_free_;
  if (index != 0) {
    first_free_ = records_[static_cast<size_t>(index)].next;
    ++used_;
  } else {
    // Pinned slots are the most recently used: when the oldest is pinned, all are.
    index = records_.front().next;
    if (index == 0 || records_[static_cast<size_t>(index)].pinned_by > ended) return taken;
    const Record& r = records_[static_cast<size_t>(index)];
    taken.entry = r.entry;
    taken.group = r.group;
    unlink(index);
  }
  Record& r = records_[static_cast<size_t>(index)];
  r.entry = entry;
  r.group = group;
  link_last(index);
  taken.slot = index - 1;
  return taken;
}

void HostTier::give(HostSlot slot) {
  const int32_t index = slot + 1;
  OCTAVO_CHECK(is_used(slot), "host slot {} holds nothing", slot);
  unlink(index);
  records_[static_cast<size_t>(index)] = {.next = first_free_};
  first_free_ = index;
  --used_;
}

void HostTier::use(HostSlot slot, uint64_t step) {
  const int32_t index = slot + 1;
  OCTAVO_CHECK(is_used(slot), "host slot {} holds nothing", slot);
  records_[static_cast<size_t>(index)].pinned_by = step;
  unlink(index);
  link_last(index);
}

std::optional<std::string> HostTier::check_integrity() const {
  int32_t linked = 0;
  int32_t before = 0;
  for (int32_t i = records_.front().next; i != 0; i = records_[static_cast<size_t>(i)].next) {
    const Record& r = records_[static_cast<size_t>(i)];
    if (r.entry == kNoEntry || r.prev != before || linked > slots()) {
      return fmt::format("host slot {} is in a list where it does not belong", i - 1);
    }
    before = i;
    ++linked;
  }
  int32_t free = 0;
  for (int32_t i = first_free_; i != 0 && free <= slots();
       i = records_[static_cast<size_t>(i)].next) {
    if (records_[static_cast<size_t>(i)].entry != kNoEntry) {
      return fmt::format("host slot {} is free and holds something", i - 1);
    }
    ++free;
  }
  if (linked != used_ || linked + free != slots()) return "the host slots are miscounted";
  return std::nullopt;
}

}  // namespace octavo
