#include <algorithm>

#include "kv/kv_cache.h"

namespace octavo {

CacheSnapshot KvCache::snapshot(std::span<const LiveBlocks> live) const {
  const PoolCounts pool = counts();
  CacheSnapshot snapshot{.block_size = block_size(),
                         .blocks_total = pool.total,
                         .blocks_uncommitted = pool.uncommitted,
                         .blocks_free = pool.free,
                         .blocks_cached = pool.cached,
                         .blocks_in_use = pool.in_use,
                         .blocks_shared = pool.shared,
                         .host_slots = host_.slots(),
                         .host_slots_used = host_.used()};
  std::vector<int32_t> place(static_cast<size_t>(config_.max_blocks), -1);
  for (BlockId block = 0; block < config_.max_blocks; ++block) {
    if (!pool_.is_committed(block)) continue;
    place[static_cast<size_t>(block)] = static_cast<int32_t>(snapshot.blocks.size());
    snapshot.blocks.push_back(snapshot_block(block));
  }
  for (size_t owner = 0; owner < live.size(); ++owner) {
    const SequenceBlocks& blocks = *live[owner].blocks;
    for (size_t g = 0; g < blocks.tables.size(); ++g) {
      const BlockTable& table = blocks.tables[g];
      for (auto i = table.first_held; i < std::ssize(table.blocks); ++i) {
        const BlockId block = table.blocks[static_cast<size_t>(i)];
        BlockSnapshot& b = snapshot.blocks[static_cast<size_t>(place[static_cast<size_t>(block)])];
        b.group = static_cast<int32_t>(g);
        b.owners.push_back(static_cast<int32_t>(owner));
        const int32_t filled = live[owner].computed - i * block_size();
        b.tokens = std::max(b.tokens, std::clamp(filled, 0, block_size()));
      }
    }
  }
  for (const BlockSnapshot& b : snapshot.blocks) {
    if (b.owners.empty()) continue;
    snapshot.owned_slots += block_size();
    snapshot.filled_slots += b.tokens;
    snapshot.saved_blocks += std::ssize(b.owners) - 1;
  }
  return snapshot;
}

// All but what the tables say.
BlockSnapshot KvCache::snapshot_block(BlockId block) const {
  BlockSnapshot b{.block = block};
  if (pool_.is_cached(block)) {
    b.state = BlockState::cached;
    b.idle_steps = static_cast<int64_t>(begun_ - contents_[static_cast<size_t>(block)].left_after);
  } else if (pool_.owners(block) > 0 || pool_.holds(block) > 0) {
    b.state = BlockState::in_use;
  }
  const EntryId entry = index_.entry_of(block);
  if (entry == kNoEntry) return b;
  b.group = index_.group_of(block);
  b.tokens = static_cast<int32_t>(index_.tokens(entry).size());
  b.content_hash = index_.content_hash(entry);
  b.in_host_tier = index_.host_slot(entry, b.group) != kNoSlot;
  return b;
}

}  // namespace octavo
