// BuddyAllocator: contiguous ranges of slots, each a power of two long, as the systems before paged
// attention are taken to place their reservations.
//
// A range is split in halves ("buddies") until it is as short as the request allows; when both
// halves are free again they are joined. The arena may have any length: it starts out as the powers
// of two that add up to it, longest first, so that every range lies at a multiple of its length.
//
// Bookkeeping only. Not thread safe.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

namespace octavo::simulate {

class BuddyAllocator {
 public:
  explicit BuddyAllocator(int64_t slots);

  // The length of the range that a request of `slots` (>= 1) gets: the next power of two.
  static int64_t range_length(int64_t slots);

  // The first slot of a range, of the shortest free one that is long enough and there the lowest;
  // nothing when no free range is long enough.
  std::optional<int64_t> allocate(int64_t slots);
  // Gives back the range that allocate(slots) placed at `first`.
  void free(int64_t first, int64_t slots);

  int64_t free_slots() const { return free_slots_; }
  int64_t longest_range() const;  // that is free now; 0 when none is

 private:
  static int order_of(int64_t slots);  // range_length(slots) is 2^order

  std::vector<std::set<int64_t>> free_;  // by order: where the free ranges of length 2^order begin
  int64_t free_slots_;
};

}  // namespace octavo::simulate
