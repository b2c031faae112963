#include "kv/kv_cache.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"

namespace octavo {

namespace {

// Entries that describe a block or a host slot number at most as many as there are. The others are
// ancestors whose own blocks a window has passed or an eviction took; past this bound new content
// is not remembered.
constexpr int64_t kEntriesPerBlock = 4;

constexpr int64_t blocks_for(int64_t tokens, int64_t block_size) {
  return (tokens + block_size - 1) / block_size;
}

}  // namespace

KvCache::KvCache(KvConfig config, ExtentSource source)
    : config_(std::move(config)),
      pool_(config_.max_blocks, config_.extent_blocks, std::move(source)),
      index_(config_.block_size, static_cast<int32_t>(config_.groups.size()),
             kEntriesPerBlock * (int64_t{config_.max_blocks} + config_.host_blocks), config_.hash),
      host_(config_.host_blocks),
      run_(config_.groups.size(), 0) {
  for (const GroupSpec& group : config_.groups) OCTAVO_CHECK(group.window >= 0);
}

// The most blocks of a windowed group that a sequence owns at once. A chunk at position f needs
// [f - window, f + q_len): the window of its first token, one position more for the case that the
// token before it is computed again, and the chunk itself. However these lie across block edges,
// they touch no more blocks than this.
int64_t KvCache::most_in_window(const GroupSpec& group, int64_t q_len) const {
  return (group.window + q_len + block_size() - 2) / block_size() + 1;
}

int64_t KvCache::peak_blocks(int64_t length, int64_t q_len) const {
  int64_t blocks = 0;
  for (const GroupSpec& group : config_.groups) {
    const int64_t all = blocks_for(length, block_size());
    blocks += group.window == 0 ? all : std::min(all, most_in_window(group, q_len));
  }
  return blocks;
}

int64_t KvCache::peak_blocks_of_forks(int64_t length, int64_t shared, int64_t sequences) const {
  // With chunks of one token, which is what a dry pool leaves.
  const int64_t common = shared / block_size();
  const int64_t own = blocks_for(length, block_size()) - common;
  int64_t blocks = 0;
  for (const GroupSpec& group : config_.groups) {
    const int64_t all = common + sequences * own;
    blocks += group.window == 0 ? all : std::min(all, sequences * most_in_window(group, 1));
  }
  return blocks;
}

int32_t KvCache::held_blocks(const SequenceBlocks& blocks) {
  int32_t held = 0;
  for (const BlockTable& table : blocks.tables) {
    held += static_cast<int32_t>(table.blocks.size()) - table.first_held;
  }
  return held;
}

int32_t KvCache::count_blocks_to_take(const SequenceBlocks& blocks, int32_t first,
                                      int32_t count) const {
  const int32_t begin = first / block_size();
  const int32_t end = (first + count - 1) / block_size() + 1;
  int32_t needed = 0;
  for (const BlockTable& table : blocks.tables) {
    const auto present = static_cast<int32_t>(table.blocks.size());
    needed += std::max(0, end - present);
    for (int32_t i = begin; i < std::min(end, present); ++i) {
      if (pool_.owners(table.blocks[static_cast<size_t>(i)]) > 1) ++needed;
    }
  }
  return needed;
}

int32_t KvCache::blocks_to_take(std::span<const SequenceBlocks* const> sequences,
                                int32_t position) const {
  const auto i = static_cast<size_t>(position / block_size());
  std::vector<BlockId> written;
  int32_t needed = 0;
  for (const SequenceBlocks* blocks : sequences) {
    needed += blocks_to_take(*blocks, position, 1);
    for (const BlockTable& table : blocks->tables) {
      if (i < table.blocks.size()) written.push_back(table.blocks[i]);
    }
  }
  std::ranges::sort(written);
  for (auto block = written.begin(); block != written.end();) {
    const auto end = std::upper_bound(block, written.end(), *block);
    if (end - block > 1 && end - block == pool_.owners(*block)) --needed;
    block = end;
  }
  return needed;
}

void KvCache::make_blocks_writable(SequenceBlocks& blocks, int32_t first, int32_t count) {
  const int32_t begin = first / block_size();
  const int32_t end = (first + count - 1) / block_size() + 1;
  for (size_t g = 0; g < blocks.tables.size(); ++g) {
    std::vector<BlockId>& table = blocks.tables[g].blocks;
    const auto present = static_cast<int32_t>(table.size());
    for (int32_t i = begin; i < std::min(end, present); ++i) {
      BlockId& block = table[static_cast<size_t>(i)];
      if (pool_.owners(block) > 1) {
        hold_source(block);
        const BlockId copy = take_copy(static_cast<int32_t>(g), block);
        pool_.remove_owner(block);
        block = copy;
      } else {
        forget(block);
      }
    }
    for (int32_t i = present; i < end; ++i) table.push_back(take());
  }
  blocks.writable_end = end * block_size();
}

// The position begins a block or completes it: to add it takes the tables' ends, to enter it in the
// index its tokens and the entry before it.
void KvCache::prefetch_ends(const SequenceBlocks& blocks, std::span<const TokenId> tokens) const {
  for (const BlockTable& table : blocks.tables) {
    __builtin_prefetch(table.blocks.data() + table.blocks.size(), /*rw=*/1);
  }
  const auto size = static_cast<size_t>(block_size());
  if (tokens.size() >= size) __builtin_prefetch(tokens.last(size).data());
  if (blocks.tip != kNoEntry) index_.prefetch_entry(blocks.tip);
}

KvCache::Content& KvCache::content(BlockId block) {
  const auto index = static_cast<size_t>(block);
  if (contents_.size() <= index) contents_.resize(index + 1);
  return contents_[index];
}

// The owners of a block that the planned step copies may leave while the plan is still being made;
// the source must outlive the copy all the same.
void KvCache::hold_source(BlockId block) {
  pool_.hold(block);
  copied_.push_back(block);
}

BlockId KvCache::take() {
  const BlockPool::Taken taken = pool_.take();
  OCTAVO_CHECK(taken.block != kNoBlock, "the pool is dry");
  if (taken.evicted) {
    index_.prefetch(pool_.next_to_evict());
    if (host_.slots() > 0) offload(taken.block);
    index_.detach(taken.block);
    ++evictions_;
  }
  return taken.block;
}

// A block that the planned step copies `source` into, which must be held.
BlockId KvCache::take_copy(int32_t group, BlockId source) {
  const BlockId copy = take();
  moves_.copies.push_back({group, source, copy});
  ++copies_;
  return copy;
}

// A block that gets the content of a slot, which the planned step uses.
BlockId KvCache::take_from_host(HostSlot slot) {
  const BlockId block = take();
  moves_.swap_in.push_back({block, slot});
  ++swapped_in_;
  return block;
}

// The content of an evicted block goes to the host tier, unless it is there or in another block, or
// is not worth it.
void KvCache::offload(BlockId block) {
  const EntryId entry = index_.entry_of(block);
  const int32_t group = index_.group_of(block);
  if (index_.host_slot(entry, group) != kNoSlot) return;
  if (!content(block).offload || index_.has_other_block(block)) return;
  const HostSlot slot = take_host_slot(entry, group, config_.report_spills);
  if (slot == kNoSlot) return;
  moves_.swap_out.push_back({block, slot});
  ++swapped_out_;
}

// A slot that is attached to the entry, pinned by the planned step; what it held is forgotten.
HostSlot KvCache::take_host_slot(EntryId entry, int32_t group, bool report_spill) {
  const HostTier::Taken taken = host_.take(entry, group, ended_);
  if (taken.slot == kNoSlot) return kNoSlot;
  index_.attach_host(entry, group, taken.slot);
  if (taken.entry != kNoEntry) {
    if (report_spill) {
      moves_.spills.push_back({.host_slot = taken.slot,
                               .group = taken.group,
                               .tokens = index_.prefix(taken.entry),
                               .extra_key = index_.extra_key(taken.entry)});
    }
    index_.detach_host(taken.entry, taken.group);
  }
  host_.use(taken.slot, planned_step());
  return taken.slot;
}

void KvCache::drop_owner(BlockId block, const Retention& retention) {
  pool_.retain(block, retention);
  content(block).left_after = begun_;
  if (!held_.empty() && pool_.owners(block) == 1) {
    pool_.hold(block);
    held_.back().push_back(block);
  }
  pool_.remove_owner(block);
}

// The content of a block that nobody but the caller owns: it is written anew, or left for good.
void KvCache::forget(BlockId block) {
  if (pool_.owners(block) > 1 || !pool_.has_content(block)) return;
  index_.detach(block);
  pool_.set_content(block, false);
}

void KvCache::drop_blocks(SequenceBlocks& blocks, int32_t position) {
  blocks.next_drop = std::numeric_limits<int32_t>::max();
  for (size_t g = 0; g < blocks.tables.size(); ++g) {
    BlockTable& table = blocks.tables[g];
    const GroupSpec& group = config_.groups[g];
    if (group.window == 0) continue;
    const int32_t keep = first_visible(group, position) / block_size();
    // The first position whose window begins after the block `keep`.
    blocks.next_drop = std::min(blocks.next_drop, (keep + 1) * block_size() + group.window - 1);
    for (; table.first_held < keep; ++table.first_held) {
      BlockId& block = table.blocks[static_cast<size_t>(table.first_held)];
      if (!config_.prefix_cache) forget(block);
      drop_owner(block, blocks.retention);
      block = kNoBlock;
    }
  }
}

void KvCache::fork(SequenceBlocks& from, SequenceBlocks& to) {
  OCTAVO_CHECK(to.tables.empty());
  from.writable_end = 0;
  to = from;
  if (to.tip != kNoEntry) index_.add_reference(to.tip);
  for (const BlockTable& table : to.tables) {
    for (const BlockId block : table.blocks) {
      if (block != kNoBlock) pool_.add_owner(block);
    }
  }
}

void KvCache::release(SequenceBlocks& blocks, Afterlife afterlife) {
  const size_t length = blocks.tables.empty() ? 0 : blocks.tables.front().blocks.size();
  // Tails before heads: a long prefix loses its end first and stays useful as a shorter one.
  for (size_t i = length; i-- > 0;) {
    for (const BlockTable& table : blocks.tables) {
      const BlockId block = table.blocks[i];
      if (block == kNoBlock) continue;
      content(block).offload = afterlife == Afterlife::offloaded;
      drop_owner(block, blocks.retention);
    }
  }
  index_.drop_reference(blocks.tip);
  blocks = SequenceBlocks{};
}

void KvCache::begin_step() {
  ++begun_;
  held_.push_back(std::move(copied_));
  copied_.clear();
  if (!spare_.empty()) {
    copied_ = std::move(spare_.back());
    spare_.pop_back();
  }
}

void KvCache::end_step() {
  OCTAVO_CHECK(!held_.empty(), "no step is in flight");
  ++ended_;
  std::vector<BlockId> over = std::move(held_.front());
  held_.pop_front();
  for (const BlockId block : over) pool_.release_hold(block);
  over.clear();
  spare_.push_back(std::move(over));
}

void KvCache::drain_moves(BlockMoves& out) {
  out = std::move(moves_);
  moves_ = {};
}

std::vector<ExtentId> KvCache::release_idle() {
  OCTAVO_CHECK(held_.empty() && copied_.empty(), "a step is in flight");
  for (BlockId block = pool_.next_to_evict(); block != kNoBlock; block = pool_.next_to_evict()) {
    forget(block);
  }
  // From the last on, so that the lowest slots are the first to be used again.
  for (HostSlot slot = host_.slots() - 1; slot >= 0; --slot) {
    if (!host_.is_used(slot)) continue;
    index_.detach_host(host_.entry(slot), host_.group(slot));
    host_.give(slot);
  }
  return pool_.release_empty_extents();
}

}  // namespace octavo
