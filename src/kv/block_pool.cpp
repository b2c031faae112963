#include "kv/block_pool.h"

#include <utility>

#include "base/check.h"

namespace octavo {

namespace {

// For how long nobody is asked for memory after a refusal.
constexpr int64_t kShortMs = 1000;

}  // namespace

BlockPool::BlockPool(int32_t max_blocks, int32_t extent_blocks, ExtentSource source)
    : max_blocks_(max_blocks), extent_blocks_(extent_blocks), source_(std::move(source)) {
  OCTAVO_CHECK(max_blocks >= 0 && extent_blocks >= 1, "{} blocks in extents of {}", max_blocks,
               extent_blocks);
  records_.resize(kHeads);
  for (int32_t head = 0; head < kHeads; ++head) {
    records_[static_cast<size_t>(head)].prev = head;
    records_[static_cast<size_t>(head)].next = head;
  }
  // The lowest extent is used first, so that the records stay few while the use is small.
  for (ExtentId extent = extent_count() - 1; extent >= 0; --extent) idle_extents_.push_back(extent);
  free_in_extent_.resize(static_cast<size_t>(extent_count()), 0);
  counts_.total = max_blocks;
  counts_.uncommitted = max_blocks;
}

int32_t BlockPool::extent_count() const {
  return max_blocks_ / extent_blocks_ + (max_blocks_ % extent_blocks_ != 0 ? 1 : 0);
}

BlockId BlockPool::extent_end(ExtentId extent) const {
  return max_blocks_ - extent * extent_blocks_ < extent_blocks_ ? max_blocks_
                                                                : (extent + 1) * extent_blocks_;
}

BlockPool::Record& BlockPool::record(BlockId block) {
  return const_cast<Record&>(std::as_const(*this).record(block));
}

void BlockPool::unlink(int32_t index) {
  const Record& r = records_[static_cast<size_t>(index)];
  records_[static_cast<size_t>(r.prev)].next = r.next;
  records_[static_cast<size_t>(r.next)].prev = r.prev;
}

void BlockPool::link_before(int32_t head, int32_t index) {
  Record& r = records_[static_cast<size_t>(index)];
  Record& at = records_[static_cast<size_t>(head)];
  r.prev = at.prev;
  r.next = head;
  records_[static_cast<size_t>(at.prev)].next = index;
  at.prev = index;
}

void BlockPool::link_after(int32_t head, int32_t index) {
  link_before(records_[static_cast<size_t>(head)].next, index);
}

bool BlockPool::secure_more(int32_t count, int32_t kept) {
  if (count + kept > available()) return false;
  while (counts_.free < count && !idle_extents_.empty() && !is_short()) open_extent();
  return counts_.free + counts_.cached >= count + kept;
}

// Makes the blocks of the next idle extent free, or learns that memory is short.
void BlockPool::open_extent() {
  const ExtentId extent = idle_extents_.back();
  if (source_ && !source_(extent)) {
    short_until_ms_ = now_ms_ + kShortMs;
    return;
  }
  idle_extents_.pop_back();
  const BlockId begin = extent * extent_blocks_;
  const BlockId end = extent_end(extent);
  const size_t needed = static_cast<size_t>(end) + kHeads;
  if (records_.size() < needed) records_.resize(needed);
  for (BlockId block = begin; block < end; ++block) {
    record(block).state = State::free;
    link_before(kFreeHead, block + kHeads);
  }
  free_in_extent_[static_cast<size_t>(extent)] = end - begin;
  counts_.uncommitted -= end - begin;
  counts_.free += end - begin;
}

BlockPool::Taken BlockPool::take() {
  const bool evict = counts_.free == 0;
  if (evict && counts_.cached == 0) return {};
  const BlockId block = evict ? next_to_evict() : records_[kFreeHead].next - kHeads;
  unlink(block + kHeads);
  Record& r = record(block);
  if (evict) {
    --counts_.cached;
    forget_retention(block);
  } else {
    --counts_.free;
    --free_in_extent_[static_cast<size_t>(block / extent_blocks_)];
  }
  r.state = State::in_use;
  r.owners = 1;
  r.has_content = false;
  ++counts_.in_use;
  return {block, evict};
}

void BlockPool::add_owner(BlockId block) {
  Record& r = record(block);
  OCTAVO_CHECK(r.state == State::in_use || r.state == State::cached, "block {} is free", block);
  if (r.state == State::cached) {
    unlink(block + kHeads);
    r.state = State::in_use;
    --counts_.cached;
    ++counts_.in_use;
  } else if (r.owners == 0) {
    --counts_.held;
  }
  if (++r.owners == 2) ++counts_.shared;
}

void BlockPool::remove_owner(BlockId block) {
  Record& r = record(block);
  OCTAVO_CHECK(r.owners > 0, "block {} has no owner to remove", block);
  --r.owners;
  if (r.owners == 1) --counts_.shared;
  if (r.owners > 0) return;
  if (r.holds > 0) {
    ++counts_.held;
  } else {
    settle(block);
  }
}

void BlockPool::hold(BlockId block) {
  Record& r = record(block);
  OCTAVO_CHECK(r.owners > 0, "block {} is held without an owner", block);
  ++r.holds;
}

void BlockPool::release_hold(BlockId block) {
  Record& r = record(block);
  OCTAVO_CHECK(r.holds > 0, "block {} is not held", block);
  if (--r.holds > 0 || r.owners > 0) return;
  --counts_.held;
  settle(block);
}

void BlockPool::settle(BlockId block) {
  Record& r = record(block);
  --counts_.in_use;
  if (r.has_content) {
    r.state = State::cached;
    ++counts_.cached;
    link_before(list_of(r), block + kHeads);
  } else {
    forget_retention(block);
    r.state = State::free;
    ++counts_.free;
    ++free_in_extent_[static_cast<size_t>(block / extent_blocks_)];
    link_after(kFreeHead, block + kHeads);
  }
}

void BlockPool::set_content(BlockId block, bool has_content) {
  Record& r = record(block);
  OCTAVO_CHECK(r.state == State::in_use || (r.state == State::cached && !has_content),
               "block {} is not in use", block);
  r.has_content = has_content;
  if (r.state == State::cached) {
    unlink(block + kHeads);
    --counts_.cached;
    ++counts_.in_use;  // for the moment that settle() ends
    settle(block);
  }
}

BlockId BlockPool::next_to_evict() const {
  for (int32_t head = kCachedHeads; head < kHeads; ++head) {
    const int32_t first = records_[static_cast<size_t>(head)].next;
    if (first != head) return first - kHeads;
  }
  return kNoBlock;
}

int32_t BlockPool::list_of(const Record& record) const {
  return kCachedHeads + (record.priority == kNoPriority ? kDefaultCachePriority : record.priority);
}

void BlockPool::set_expiry(BlockId block, int64_t expires_ms) {
  Record& r = record(block);
  if (r.expires_ms != kNever) expiries_.erase({r.expires_ms, block});
  r.expires_ms = expires_ms;
  if (expires_ms != kNever) expiries_.insert({expires_ms, block});
}

void BlockPool::forget_retention(BlockId block) {
  set_expiry(block, kNever);
  record(block).priority = kNoPriority;
}

void BlockPool::retain(BlockId block, const Retention& retention) {
  Record& r = record(block);
  OCTAVO_CHECK(r.state == State::in_use, "block {} is retained by nobody who uses it", block);
  const bool lasts = retention.ttl_ms == 0 || retention.priority <= kDefaultCachePriority;
  const int64_t expires_ms = lasts ? kNever : now_ms_ + retention.ttl_ms;
  if (retention.priority > r.priority) {
    r.priority = static_cast<int8_t>(retention.priority);
    set_expiry(block, expires_ms);
  } else if (retention.priority == r.priority && expires_ms > r.expires_ms) {
    set_expiry(block, expires_ms);
  }
}

void BlockPool::set_time(int64_t now_ms) {
  OCTAVO_CHECK(now_ms >= now_ms_, "time goes back from {} to {} ms", now_ms_, now_ms);
  now_ms_ = now_ms;
  while (!expiries_.empty() && expiries_.begin()->first <= now_ms) {
    const BlockId block = expiries_.begin()->second;
    Record& r = record(block);
    set_expiry(block, kNever);
    r.priority = kDefaultCachePriority;
    if (r.state != State::cached) continue;
    // It was not used for as long as it was kept, so it goes before what was used since.
    unlink(block + kHeads);
    link_after(list_of(r), block + kHeads);
  }
}

std::vector<ExtentId> BlockPool::release_empty_extents() {
  std::vector<ExtentId> released;
  for (ExtentId extent = extent_count() - 1; extent >= 0; --extent) {
    const BlockId begin = extent * extent_blocks_;
    const BlockId end = extent_end(extent);
    if (free_in_extent_[static_cast<size_t>(extent)] != end - begin) continue;
    for (BlockId block = begin; block < end; ++block) {
      unlink(block + kHeads);
      record(block).state = State::uncommitted;
    }
    free_in_extent_[static_cast<size_t>(extent)] = 0;
    counts_.free -= end - begin;
    counts_.uncommitted += end - begin;
    idle_extents_.push_back(extent);
    released.push_back(extent);
  }
  return released;
}

bool BlockPool::is_committed(BlockId block) const {
  const size_t index = static_cast<size_t>(block) + kHeads;
  return index < records_.size() && records_[index].state != State::uncommitted;
}

// Follows one list and adds its length to `linked`.
std::optional<std::string> BlockPool::check_list(int32_t head, int32_t& linked) const {
  const State state = head == kFreeHead ? State::free : State::cached;
  int32_t before = head;
  for (int32_t i = records_[static_cast<size_t>(head)].next; i != head;
       i = records_[static_cast<size_t>(i)].next) {
    const Record& r = records_[static_cast<size_t>(i)];
    const bool right_list = state == State::free || list_of(r) == head;
    if (r.state != state || r.prev != before || !right_list || linked > max_blocks_) {
      return fmt::format("block {} is in a list where it does not belong", i - kHeads);
    }
    before = i;
    ++linked;
  }
  return std::nullopt;
}

std::optional<std::string> BlockPool::check_integrity() const {
  PoolCounts seen;
  seen.total = max_blocks_;
  std::vector<int32_t> free_seen(free_in_extent_.size(), 0);
  const auto known = static_cast<BlockId>(records_.size()) - kHeads;
  seen.uncommitted = max_blocks_ - known;
  for (BlockId block = 0; block < known; ++block) {
    const Record& r = record(block);
    if (r.state != State::in_use && (r.owners != 0 || r.holds != 0)) {
      return fmt::format("block {} is not in use and has {} owners, {} holds", block, r.owners,
                         r.holds);
    }
    switch (r.state) {
      case State::uncommitted:
        ++seen.uncommitted;
        break;
      case State::free:
        ++seen.free;
        ++free_seen[static_cast<size_t>(block / extent_blocks_)];
        break;
      case State::cached:
        ++seen.cached;
        break;
      case State::in_use:
        ++seen.in_use;
        if (r.owners == 0) ++seen.held;
        if (r.owners > 1) ++seen.shared;
        if (r.owners == 0 && r.holds == 0) return fmt::format("block {} has leaked", block);
        break;
    }
    const bool expires = r.expires_ms != kNever;
    if (expires != expiries_.contains({r.expires_ms, block})) {
      return fmt::format("the expiry of block {} is lost", block);
    }
    if (expires && r.state != State::cached && r.state != State::in_use) {
      return fmt::format("block {} is free and has an expiry", block);
    }
    if (r.has_content && r.state != State::cached && r.state != State::in_use) {
      return fmt::format("block {} is free and has content", block);
    }
  }
  int32_t free_linked = 0;
  int32_t cached_linked = 0;
  for (int32_t head = 0; head < kHeads; ++head) {
    int32_t& linked = head == kFreeHead ? free_linked : cached_linked;
    if (auto breach = check_list(head, linked)) return breach;
  }
  if (free_linked != seen.free || cached_linked != seen.cached) {
    return fmt::format("the lists have {} free and {} cached blocks, not {} and {}", free_linked,
                       cached_linked, seen.free, seen.cached);
  }
  if (free_seen != free_in_extent_) return "the free blocks of an extent are miscounted";
  if (!(seen == counts_)) return "the counts of the pool differ from its blocks";
  if (seen.uncommitted + seen.free + seen.cached + seen.in_use != seen.total) {
    return "uncommitted + free + cached + in use is not all";
  }
  return std::nullopt;
}

}  // namespace octavo
