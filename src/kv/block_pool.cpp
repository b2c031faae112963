#include "kv/block_pool.h"

#include <tuple>
#include <utility>

#include "base/check.h"

namespace octavo {

BlockPool::BlockPool(int32_t max_blocks, int32_t extent_blocks)
    : max_blocks_(max_blocks), extent_blocks_(extent_blocks) {
  OCTAVO_CHECK(max_blocks >= 0 && extent_blocks >= 1, "{} blocks in extents of {}", max_blocks,
               extent_blocks);
  records_.resize(kHeads);
  for (const int32_t head : {kFreeHead, kCachedHead}) {
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

const BlockPool::Record& BlockPool::record(BlockId block) const {
  const size_t index = static_cast<size_t>(block) + kHeads;
  OCTAVO_CHECK(block >= 0 && index < records_.size(), "block {} has no memory", block);
  return records_[index];
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

void BlockPool::commit_extent() {
  const ExtentId extent = idle_extents_.back();
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
  new_extents_.push_back(extent);
}

int32_t BlockPool::available() const {
  return counts_.free + counts_.uncommitted + counts_.cached;
}

BlockPool::Taken BlockPool::take() {
  if (counts_.free == 0 && !idle_extents_.empty()) commit_extent();
  const bool evict = counts_.free == 0;
  if (evict && counts_.cached == 0) return {};
  const int32_t index = records_[static_cast<size_t>(evict ? kCachedHead : kFreeHead)].next;
  unlink(index);
  Record& r = records_[static_cast<size_t>(index)];
  const BlockId block = index - kHeads;
  if (evict) {
    --counts_.cached;
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
    link_before(kCachedHead, block + kHeads);
  } else {
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

BlockId BlockPool::oldest_cached() const {
  return counts_.cached == 0 ? kNoBlock : records_[kCachedHead].next - kHeads;
}

void BlockPool::drain_new_extents(std::vector<ExtentId>& out) {
  out.insert(out.end(), new_extents_.begin(), new_extents_.end());
  new_extents_.clear();
}

std::vector<ExtentId> BlockPool::release_empty_extents() {
  OCTAVO_CHECK(new_extents_.empty(), "extents are given back before they got memory");
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
    if (r.has_content && r.state != State::cached && r.state != State::in_use) {
      return fmt::format("block {} is free and has content", block);
    }
  }
  for (const auto& [head, state, count] : {std::tuple{kFreeHead, State::free, seen.free},
                                           std::tuple{kCachedHead, State::cached, seen.cached}}) {
    int32_t linked = 0;
    int32_t before = head;
    for (int32_t i = records_[static_cast<size_t>(head)].next; i != head && linked <= count;
         i = records_[static_cast<size_t>(i)].next) {
      const Record& r = records_[static_cast<size_t>(i)];
      if (r.state != state || r.prev != before) {
        return fmt::format("block {} is in a list where it does not belong", i - kHeads);
      }
      before = i;
      ++linked;
    }
    if (linked != count) return fmt::format("list {} has {} blocks, not {}", head, linked, count);
  }
  if (free_seen != free_in_extent_) return "the free blocks of an extent are miscounted";
  if (!(seen == counts_)) return "the counts of the pool differ from its blocks";
  if (seen.uncommitted + seen.free + seen.cached + seen.in_use != seen.total) {
    return "uncommitted + free + cached + in use is not all";
  }
  return std::nullopt;
}

}  // namespace octavo
