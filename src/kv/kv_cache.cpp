#include "kv/kv_cache.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace octavo {

namespace {

// Entries that describe a block number at most max_blocks. The others are ancestors whose own
// blocks a window has passed or an eviction took; past this bound new content is not remembered.
constexpr int64_t kEntriesPerBlock = 4;

constexpr int64_t blocks_for(int64_t tokens, int64_t block_size) {
  return (tokens + block_size - 1) / block_size;
}

}  // namespace

KvCache::KvCache(KvConfig config)
    : config_(std::move(config)),
      pool_(config_.max_blocks, config_.extent_blocks),
      index_(config_.block_size, static_cast<int32_t>(config_.groups.size()),
             kEntriesPerBlock * config_.max_blocks, config_.hash),
      run_(config_.groups.size(), 0) {
  for (const GroupSpec& group : config_.groups) OCTAVO_CHECK(group.window >= 0);
}

int64_t KvCache::peak_blocks(int64_t length, int64_t q_len) const {
  int64_t blocks = 0;
  for (const GroupSpec& group : config_.groups) {
    const int64_t all = blocks_for(length, block_size());
    // A chunk at position f needs [f - window, f + q_len): the window of its first token, one
    // position more for the case that the token before it is computed again, and the chunk itself.
    // However these lie across block edges, they touch no more blocks than this.
    const int64_t span = group.window + q_len;
    const int64_t windowed = (span + block_size() - 2) / block_size() + 1;
    blocks += group.window == 0 ? all : std::min(all, windowed);
  }
  return blocks;
}

int64_t KvCache::peak_blocks_of_forks(int64_t length, int64_t shared, int64_t sequences) const {
  // With chunks of one token, which is what a dry pool leaves.
  const int64_t common = shared / block_size();
  const int64_t own = blocks_for(length, block_size()) - common;
  int64_t blocks = 0;
  for (const GroupSpec& group : config_.groups) {
    const int64_t windowed = (group.window + 1 + block_size() - 2) / block_size() + 1;
    const int64_t all = common + sequences * own;
    blocks += group.window == 0 ? all : std::min(all, sequences * windowed);
  }
  return blocks;
}

PrefixMatch KvCache::match(std::span<const TokenId> tokens, std::string_view extra_key) {
  PrefixMatch best;
  if (!config_.prefix_cache || tokens.empty()) return best;
  std::ranges::fill(run_, 0);
  const auto size = static_cast<size_t>(block_size());
  // The last token's logits are needed, so the block that holds it is computed in any case.
  const auto limit = static_cast<int32_t>((tokens.size() - 1) / size);
  EntryId entry = kRootEntry;
  for (int32_t i = 0; i < limit; ++i) {
    entry = index_.find(entry, tokens.subspan(static_cast<size_t>(i) * size, size), extra_key);
    if (entry == kNoEntry) break;
    bool usable = true;
    bool global_missing = false;
    for (size_t g = 0; g < run_.size(); ++g) {
      const GroupSpec& group = config_.groups[g];
      const bool present = index_.block(entry, static_cast<int32_t>(g)) != kNoBlock;
      run_[g] = present ? run_[g] + 1 : 0;
      global_missing = global_missing || (group.window == 0 && !present);
      const int32_t first_needed = first_visible(group, (i + 1) * block_size()) / block_size();
      usable = usable && run_[g] >= i + 1 - first_needed;
    }
    if (global_missing) break;
    if (!usable) continue;
    best.blocks = i + 1;
    best.last = entry;
  }
  visit_match(best, [&](int32_t, int32_t, BlockId block) {
    ++best.physical_blocks;
    if (pool_.is_cached(block)) ++best.idle_blocks;
  });
  return best;
}

// Calls visit(group, block index, block) for every block that a sequence continuing after the match
// reads, from the last to the first.
template <class Visit>
void KvCache::visit_match(const PrefixMatch& match, Visit visit) const {
  const int32_t position = match.blocks * block_size();
  EntryId entry = match.last;
  int32_t first_of_all = match.blocks;
  for (const GroupSpec& group : config_.groups) {
    first_of_all = std::min(first_of_all, first_visible(group, position) / block_size());
  }
  for (int32_t i = match.blocks - 1; i >= first_of_all; --i) {
    for (size_t g = 0; g < config_.groups.size(); ++g) {
      if (i < first_visible(config_.groups[g], position) / block_size()) continue;
      const auto group = static_cast<int32_t>(g);
      visit(group, i, index_.block(entry, group));
    }
    entry = index_.parent(entry);
  }
}

void KvCache::adopt(SequenceBlocks& blocks, const PrefixMatch& match) {
  OCTAVO_CHECK(blocks.tables.empty());
  const int32_t position = match.blocks * block_size();
  blocks.tables.resize(config_.groups.size());
  for (size_t g = 0; g < config_.groups.size(); ++g) {
    blocks.tables[g].blocks.assign(static_cast<size_t>(match.blocks), kNoBlock);
    blocks.tables[g].first_held = first_visible(config_.groups[g], position) / block_size();
  }
  visit_match(match, [&](int32_t group, int32_t i, BlockId block) {
    pool_.add_owner(block);
    blocks.tables[static_cast<size_t>(group)].blocks[static_cast<size_t>(i)] = block;
  });
  blocks.tip = match.last;
  blocks.indexed = match.blocks;
  index_.add_reference(blocks.tip);
}

int32_t KvCache::blocks_to_take(const SequenceBlocks& blocks, int32_t first, int32_t count) const {
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

void KvCache::make_writable(SequenceBlocks& blocks, int32_t first, int32_t count,
                            std::vector<BlockCopy>& copies) {
  const int32_t begin = first / block_size();
  const int32_t end = (first + count - 1) / block_size() + 1;
  for (size_t g = 0; g < blocks.tables.size(); ++g) {
    std::vector<BlockId>& table = blocks.tables[g].blocks;
    const auto present = static_cast<int32_t>(table.size());
    for (int32_t i = begin; i < std::min(end, present); ++i) {
      BlockId& block = table[static_cast<size_t>(i)];
      if (pool_.owners(block) > 1) {
        const BlockId copy = take();
        copies.push_back({static_cast<int32_t>(g), block, copy});
        ++copies_;
        // The other owners may leave while this plan is still being made; the source must outlive
        // the copy all the same.
        pool_.hold(block);
        copied_.push_back(block);
        pool_.remove_owner(block);
        block = copy;
      } else if (pool_.has_content(block)) {
        index_.detach(block);
        pool_.set_content(block, false);
      }
    }
    for (int32_t i = present; i < end; ++i) table.push_back(take());
  }
}

BlockId KvCache::take() {
  const BlockPool::Taken taken = pool_.take();
  OCTAVO_CHECK(taken.block != kNoBlock, "the pool is dry");
  if (taken.evicted) {
    index_.detach(taken.block);
    ++evictions_;
  }
  return taken.block;
}

void KvCache::drop_owner(BlockId block) {
  if (!held_.empty() && pool_.owners(block) == 1) {
    pool_.hold(block);
    held_.back().push_back(block);
  }
  pool_.remove_owner(block);
}

void KvCache::drop_outside_window(SequenceBlocks& blocks, int32_t position) {
  for (size_t g = 0; g < blocks.tables.size(); ++g) {
    BlockTable& table = blocks.tables[g];
    const int32_t keep = first_visible(config_.groups[g], position) / block_size();
    for (; table.first_held < keep; ++table.first_held) {
      BlockId& block = table.blocks[static_cast<size_t>(table.first_held)];
      drop_owner(block);
      block = kNoBlock;
    }
  }
}

void KvCache::fork(const SequenceBlocks& from, SequenceBlocks& to) {
  OCTAVO_CHECK(to.tables.empty());
  to.tables = from.tables;
  to.tip = from.tip;
  to.indexed = from.indexed;
  index_.add_reference(to.tip);
  for (const BlockTable& table : to.tables) {
    for (const BlockId block : table.blocks) {
      if (block != kNoBlock) pool_.add_owner(block);
    }
  }
}

void KvCache::release(SequenceBlocks& blocks) {
  const size_t length = blocks.tables.empty() ? 0 : blocks.tables.front().blocks.size();
  // Tails before heads: a long prefix loses its end first and stays useful as a shorter one.
  for (size_t i = length; i-- > 0;) {
    for (const BlockTable& table : blocks.tables) {
      if (table.blocks[i] != kNoBlock) drop_owner(table.blocks[i]);
    }
  }
  blocks.tables.clear();
  index_.drop_reference(blocks.tip);
  blocks.tip = kRootEntry;
  blocks.indexed = 0;
}

void KvCache::index_blocks(SequenceBlocks& blocks, std::span<const TokenId> tokens,
                           std::string_view extra_key, int32_t count) {
  if (!config_.prefix_cache) return;
  const auto size = static_cast<size_t>(block_size());
  while (blocks.indexed < count / block_size()) {
    const auto i = static_cast<size_t>(blocks.indexed);
    const EntryId entry = index_.find_or_add(blocks.tip, tokens.subspan(i * size, size), extra_key);
    if (entry == kNoEntry) return;
    for (size_t g = 0; g < blocks.tables.size(); ++g) {
      const BlockId block = blocks.tables[g].blocks[i];
      if (block == kNoBlock || pool_.has_content(block)) continue;
      index_.attach(entry, static_cast<int32_t>(g), block);
      pool_.set_content(block, true);
    }
    index_.add_reference(entry);
    index_.drop_reference(blocks.tip);
    blocks.tip = entry;
    ++blocks.indexed;
  }
}

void KvCache::unindex_after(SequenceBlocks& blocks, int32_t count) {
  while (blocks.indexed > count / block_size()) {
    const EntryId parent = index_.parent(blocks.tip);
    index_.add_reference(parent);
    index_.drop_reference(blocks.tip);
    blocks.tip = parent;
    --blocks.indexed;
  }
}

void KvCache::begin_step() {
  held_.push_back(std::move(copied_));
  copied_.clear();
  if (!spare_.empty()) {
    copied_ = std::move(spare_.back());
    spare_.pop_back();
  }
}

void KvCache::end_step() {
  OCTAVO_CHECK(!held_.empty(), "no step is in flight");
  std::vector<BlockId> over = std::move(held_.front());
  held_.pop_front();
  for (const BlockId block : over) pool_.release_hold(block);
  over.clear();
  spare_.push_back(std::move(over));
}

std::vector<ExtentId> KvCache::release_idle() {
  OCTAVO_CHECK(held_.empty() && copied_.empty(), "a step is in flight");
  for (BlockId block = pool_.oldest_cached(); block != kNoBlock; block = pool_.oldest_cached()) {
    index_.detach(block);
    pool_.set_content(block, false);
  }
  return pool_.release_empty_extents();
}

std::optional<std::string> KvCache::check_integrity(
    std::span<const SequenceBlocks* const> live) const {
  if (auto breach = pool_.check_integrity()) return breach;
  const auto total = static_cast<size_t>(config_.max_blocks);
  std::vector<int32_t> owners(total, 0);
  std::vector<int32_t> holds(total, 0);
  std::vector<int32_t> tips(static_cast<size_t>(index_.slots()), 0);
  for (const SequenceBlocks* blocks : live) {
    if (blocks->tip != kRootEntry) ++tips[static_cast<size_t>(blocks->tip)];
    for (const BlockTable& table : blocks->tables) {
      if (table.blocks.size() != blocks->tables.front().blocks.size()) {
        return "the tables of a sequence have different lengths";
      }
      for (size_t i = 0; i < table.blocks.size(); ++i) {
        const BlockId block = table.blocks[i];
        if ((block == kNoBlock) != (i < static_cast<size_t>(table.first_held))) {
          return "a table is not what its window says";
        }
        if (block != kNoBlock) ++owners[static_cast<size_t>(block)];
      }
    }
  }
  for (const std::vector<BlockId>& step : held_) {
    for (const BlockId block : step) ++holds[static_cast<size_t>(block)];
  }
  for (const BlockId block : copied_) ++holds[static_cast<size_t>(block)];
  for (BlockId block = 0; block < config_.max_blocks; ++block) {
    const auto i = static_cast<size_t>(block);
    const bool committed = pool_.is_committed(block);
    const int32_t counted = committed ? pool_.owners(block) : 0;
    const int32_t held = committed ? pool_.holds(block) : 0;
    if (owners[i] != counted || holds[i] != held) {
      return fmt::format("block {} counts {} owners and {} holds, not {} and {}", block, counted,
                         held, owners[i], holds[i]);
    }
    const bool content = committed && pool_.has_content(block);
    if (content != (index_.entry_of(block) != kNoEntry)) {
      return fmt::format("block {} and the prefix index disagree", block);
    }
  }
  return index_.check_integrity(tips);
}

}  // namespace octavo
