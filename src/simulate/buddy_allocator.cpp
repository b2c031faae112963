#include "simulate/buddy_allocator.h"

#include <bit>

#include "base/check.h"

namespace octavo::simulate {

BuddyAllocator::BuddyAllocator(int64_t slots) : free_slots_(slots) {
  OCTAVO_CHECK(slots >= 0);
  const int orders = std::bit_width(static_cast<uint64_t>(slots));
  free_.resize(static_cast<size_t>(orders));
  int64_t first = 0;
  for (int order = orders - 1; order >= 0; --order) {
    const int64_t length = int64_t{1} << order;
    if ((slots & length) == 0) continue;
    free_[static_cast<size_t>(order)].insert(first);
    first += length;
  }
}

int BuddyAllocator::order_of(int64_t slots) {
  OCTAVO_CHECK(slots >= 1);
  return std::bit_width(static_cast<uint64_t>(slots - 1));
}

int64_t BuddyAllocator::range_length(int64_t slots) {
  return int64_t{1} << order_of(slots);
}

std::optional<int64_t> BuddyAllocator::allocate(int64_t slots) {
  const auto wanted = static_cast<size_t>(order_of(slots));
  size_t order = wanted;
  while (order < free_.size() && free_[order].empty()) ++order;
  if (order >= free_.size()) return std::nullopt;
  const int64_t first = *free_[order].begin();
  free_[order].erase(free_[order].begin());
  // The lower half is split on, the upper halves stay free.
  while (order > wanted) {
    --order;
    free_[order].insert(first + (int64_t{1} << order));
  }
  free_slots_ -= int64_t{1} << wanted;
  return first;
}

void BuddyAllocator::free(int64_t first, int64_t slots) {
  auto order = static_cast<size_t>(order_of(slots));
  free_slots_ += int64_t{1} << order;
  // A buddy beyond the arena's end is in no list.
  while (order + 1 < free_.size() && free_[order].erase(first ^ (int64_t{1} << order)) == 1) {
    first &= ~(int64_t{1} << order);
    ++order;
  }
  const bool is_new = free_[order].insert(first).second;
  OCTAVO_CHECK(is_new, "the range at {} is freed twice", first);
}

int64_t BuddyAllocator::longest_range() const {
  for (size_t order = free_.size(); order-- > 0;) {
    if (!free_[order].empty()) return int64_t{1} << order;
  }
  return 0;
}

}  // namespace octavo::simulate
