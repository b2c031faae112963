// KvCache::check_integrity(): what must hold between any two calls.
#include "base/check.h"
#include "kv/kv_cache.h"

namespace octavo {

std::optional<std::string> KvCache::check_integrity(
    std::span<const SequenceBlocks* const> live) const {
  if (auto breach = pool_.check_integrity()) return breach;
  if (auto breach = check_host()) return breach;
  return check_tables(live);
}

// Every used slot is known to the index under what the slot says it holds; the index counts them.
std::optional<std::string> KvCache::check_host() const {
  if (auto breach = host_.check_integrity()) return breach;
  for (HostSlot slot = 0; slot < host_.slots(); ++slot) {
    if (host_.is_used(slot) && index_.host_slot(host_.entry(slot), host_.group(slot)) != slot) {
      return fmt::format("host slot {} and the prefix index disagree", slot);
    }
  }
  if (index_.host_slots_attached() != host_.used()) {
    return "the prefix index knows host slots that are free";
  }
  return std::nullopt;
}

std::optional<std::string> KvCache::check_shortcuts(const SequenceBlocks& blocks,
                                                    int32_t computed) const {
  for (size_t g = 0; g < blocks.tables.size(); ++g) {
    const BlockTable& table = blocks.tables[g];
    for (int32_t i = computed / block_size(); i * block_size() < blocks.writable_end; ++i) {
      const BlockId block = table.blocks.at(static_cast<size_t>(i));
      if (pool_.owners(block) != 1 || pool_.has_content(block)) {
        return fmt::format("block {} is not its sequence's alone to write", block);
      }
    }
    const int32_t last = blocks.next_drop - 1;
    if (last >= 0 && first_visible(config_.groups[g], last) / block_size() > table.first_held) {
      return fmt::format("group {} keeps a block that its window has passed", g);
    }
  }
  return std::nullopt;
}

std::optional<std::string> KvCache::check_tables(
    std::span<const SequenceBlocks* const> live) const {
  const auto total = static_cast<size_t>(config_.max_blocks);
  std::vector<int32_t> owners(total, 0);
  std::vector<int32_t> holds(total, 0);
  std::vector<int32_t> tips(static_cast<size_t>(index_.slots()), 0);
  for (const SequenceBlocks* blocks : live) {
    if (blocks->tip != kNoEntry) ++tips[static_cast<size_t>(blocks->tip)];
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
