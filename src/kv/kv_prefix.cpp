// KvCache: finding, adopting and entering prefixes.
#include <algorithm>

#include "base/check.h"
#include "kv/kv_cache.h"

namespace octavo {

namespace {

// How many of the entries that continue a prefix are looked at for one that begins like the prompt.
constexpr int kChildrenTried = 64;

}  // namespace

bool KvCache::present(EntryId entry, int32_t group) const {
  return index_.block(entry, group) != kNoBlock || index_.host_slot(entry, group) != kNoSlot;
}

PrefixMatch KvCache::match(std::span<const TokenId> tokens, std::string_view extra_key) {
  PrefixMatch best;
  if (tokens.empty()) return best;
  std::ranges::fill(run_, 0);
  const auto size = static_cast<size_t>(block_size());
  // The last token's logits are needed, so the block that holds it is computed in any case.
  const auto limit = static_cast<int32_t>((tokens.size() - 1) / size);
  best.last = index_.find_root(extra_key);
  if (best.last == kNoEntry) return best;
  EntryId entry = best.last;
  for (int32_t i = 0; i < limit; ++i) {
    entry = index_.find(entry, tokens.subspan(static_cast<size_t>(i) * size, size));
    if (entry == kNoEntry) break;
    bool usable = true;
    bool global_missing = false;
    for (size_t g = 0; g < run_.size(); ++g) {
      const GroupSpec& group = config_.groups[g];
      const bool here = present(entry, static_cast<int32_t>(g));
      if (group.window == 0) {
        global_missing = global_missing || !here;
        continue;
      }
      run_[g] = here ? run_[g] + 1 : 0;
      const int32_t first_needed = first_visible(group, (i + 1) * block_size()) / block_size();
      usable = usable && run_[g] >= i + 1 - first_needed;
    }
    if (global_missing) break;
    if (!usable) continue;
    best.blocks = i + 1;
    best.last = entry;
  }
  visit_match(best, [&](int32_t group, int32_t, EntryId at) {
    const BlockId block = index_.block(at, group);
    if (block == kNoBlock) {
      ++best.full.taken;
      return;
    }
    ++best.physical_blocks;
    if (pool_.is_cached(block)) ++best.full.idle;
  });
  const size_t matched = static_cast<size_t>(best.blocks) * size;
  match_partial(tokens.subspan(matched, tokens.size() - 1 - matched), best);
  return best;
}

// Whether all groups have the entry's content where the planned step can read it before it writes.
bool KvCache::readable(EntryId entry) const {
  for (size_t g = 0; g < config_.groups.size(); ++g) {
    const auto group = static_cast<int32_t>(g);
    const BlockId block = index_.block(entry, group);
    if (block == kNoBlock && index_.host_slot(entry, group) == kNoSlot) return false;
    if (block != kNoBlock && contents_[static_cast<size_t>(block)].written_by > begun_)
      return false;
  }
  return true;
}

// Adds the entry after match.last that begins with the most of `rest`, the tokens that could still
// be found.
void KvCache::match_partial(std::span<const TokenId> rest, PrefixMatch& match) const {
  int tried = 0;
  for (EntryId entry = index_.first_child(match.last); entry != kNoEntry && tried < kChildrenTried;
       entry = index_.next_sibling(entry), ++tried) {
    const std::span<const TokenId> tokens = index_.tokens(entry);
    const auto differs = std::ranges::mismatch(tokens, rest).in1;
    const auto common = static_cast<int32_t>(differs - tokens.begin());
    if (common <= match.partial_tokens || !readable(entry)) continue;
    match.partial_tokens = common;
    match.partial = entry;
  }
  if (match.partial == kNoEntry) return;
  for (size_t g = 0; g < config_.groups.size(); ++g) {
    const BlockId block = index_.block(match.partial, static_cast<int32_t>(g));
    if (block != kNoBlock && pool_.is_cached(block)) ++match.tail.idle;
    ++match.tail.taken;
  }
}

// Calls visit(group, block index, entry) for every block that a sequence continuing after the full
// blocks of the match reads, in each group from the last to the first.
template <class Visit>
void KvCache::visit_match(const PrefixMatch& match, Visit visit) const {
  const int32_t position = match.blocks * block_size();
  for (size_t g = 0; g < config_.groups.size(); ++g) {
    const int32_t first = first_visible(config_.groups[g], position) / block_size();
    EntryId entry = match.last;
    for (int32_t i = match.blocks - 1; i >= first; --i) {
      visit(static_cast<int32_t>(g), i, entry);
      entry = index_.parent(entry);
    }
  }
}

void KvCache::adopt(SequenceBlocks& blocks, const PrefixMatch& match, std::string_view extra_key) {
  OCTAVO_CHECK(blocks.tables.empty());
  const int32_t position = match.blocks * block_size();
  blocks.tables.resize(config_.groups.size());
  for (size_t g = 0; g < config_.groups.size(); ++g) {
    blocks.tables[g].blocks.assign(static_cast<size_t>(match.blocks), kNoBlock);
    blocks.tables[g].first_held = first_visible(config_.groups[g], position) / block_size();
  }
  blocks.tip = match.last != kNoEntry ? match.last : index_.find_or_add_root(extra_key);
  if (blocks.tip != kNoEntry) index_.add_reference(blocks.tip);
  blocks.indexed = match.blocks;
  const auto place = [&](int32_t group, int32_t i) -> BlockId& {
    return blocks.tables[static_cast<size_t>(group)].blocks[static_cast<size_t>(i)];
  };
  // First everything that is there becomes used, so that no block taken after it evicts it.
  visit_match(match, [&](int32_t group, int32_t i, EntryId entry) {
    const BlockId block = index_.block(entry, group);
    if (block == kNoBlock) {
      host_.use(index_.host_slot(entry, group), planned_step());
      return;
    }
    pool_.add_owner(block);
    place(group, i) = block;
  });
  if (match.partial != kNoEntry) adopt_partial(blocks, match);
  visit_match(match, [&](int32_t group, int32_t i, EntryId entry) {
    BlockId& block = place(group, i);
    if (block != kNoBlock) return;
    block = take_from_host(index_.host_slot(entry, group));
    attach(entry, group, block, /*written_by=*/0);  // swaps precede copies
  });
}

// A block of the sequence's own for the tokens of the partial block: copied from the pool, or
// brought from the host tier.
void KvCache::adopt_partial(SequenceBlocks& blocks, const PrefixMatch& match) {
  index_.add_reference(match.partial);  // it must outlive the evictions below
  std::vector<BlockId> sources;
  for (size_t g = 0; g < config_.groups.size(); ++g) {
    const auto group = static_cast<int32_t>(g);
    sources.push_back(index_.block(match.partial, group));
    if (sources.back() == kNoBlock) {
      host_.use(index_.host_slot(match.partial, group), planned_step());
      continue;
    }
    pool_.add_owner(sources.back());
    hold_source(sources.back());
  }
  for (size_t g = 0; g < config_.groups.size(); ++g) {
    const auto group = static_cast<int32_t>(g);
    std::vector<BlockId>& table = blocks.tables[g].blocks;
    if (sources[g] == kNoBlock) {
      table.push_back(take_from_host(index_.host_slot(match.partial, group)));
    } else {
      table.push_back(take_copy(group, sources[g]));
      drop_owner(sources[g], blocks.retention);
    }
  }
  index_.drop_reference(match.partial);
}

// From now on the block, written by that step at the latest, stands for the entry's content.
void KvCache::attach(EntryId entry, int32_t group, BlockId block, uint64_t written_by) {
  index_.attach(entry, group, block);
  pool_.set_content(block, true);
  content(block) = {.written_by = written_by};
}

// The sequence's blocks at that index of its tables stand for the entry's content, those that stand
// for nothing yet.
void KvCache::attach_tables(EntryId entry, const SequenceBlocks& blocks, int32_t index) {
  for (size_t g = 0; g < blocks.tables.size(); ++g) {
    const BlockId block = blocks.tables[g].blocks[static_cast<size_t>(index)];
    if (block == kNoBlock || pool_.has_content(block)) continue;
    attach(entry, static_cast<int32_t>(g), block, blocks.written_by);
  }
}

void KvCache::index_blocks(SequenceBlocks& blocks, std::span<const TokenId> tokens, int32_t count) {
  if (blocks.tip == kNoEntry) return;
  const auto size = static_cast<size_t>(block_size());
  while ((blocks.indexed + 1) * block_size() <= count) {
    const auto i = static_cast<size_t>(blocks.indexed);
    const EntryId entry = index_.find_or_add(blocks.tip, tokens.subspan(i * size, size));
    if (entry == kNoEntry) return;
    attach_tables(entry, blocks, blocks.indexed);
    index_.add_reference(entry);
    index_.drop_reference(blocks.tip);
    blocks.tip = entry;
    ++blocks.indexed;
  }
}

void KvCache::unindex_after(SequenceBlocks& blocks, int32_t count) {
  blocks.writable_end = 0;
  while (blocks.indexed > count / block_size()) {
    const EntryId parent = index_.parent(blocks.tip);
    index_.add_reference(parent);
    index_.drop_reference(blocks.tip);
    blocks.tip = parent;
    --blocks.indexed;
  }
}

void KvCache::index_tail(SequenceBlocks& blocks, std::span<const TokenId> tokens, int32_t count) {
  const int32_t rest = count % block_size();
  const int32_t full = count / block_size();
  if (blocks.tip == kNoEntry || rest == 0 || blocks.indexed != full) return;
  const auto first = static_cast<size_t>(full) * static_cast<size_t>(block_size());
  const EntryId entry =
      index_.find_or_add(blocks.tip, tokens.subspan(first, static_cast<size_t>(rest)));
  if (entry == kNoEntry) return;
  index_.add_reference(entry);  // until then: the blocks may all stand for something else
  attach_tables(entry, blocks, full);
  index_.drop_reference(entry);
}

void KvCache::forget_key(std::string_view extra_key) {
  const EntryId root = index_.find_root(extra_key);
  if (root == kNoEntry) return;
  std::vector<EntryId> entries = {root};  // each referred to, so that it outlives its blocks
  index_.add_reference(root);
  for (size_t i = 0; i < entries.size(); ++i) {
    for (EntryId child = index_.first_child(entries[i]); child != kNoEntry;
         child = index_.next_sibling(child)) {
      index_.add_reference(child);
      entries.push_back(child);
    }
  }
  for (const EntryId entry : entries) {
    for (size_t g = 0; g < config_.groups.size(); ++g) {
      const auto group = static_cast<int32_t>(g);
      for (BlockId block = index_.block(entry, group); block != kNoBlock;
           block = index_.block(entry, group)) {
        OCTAVO_CHECK(pool_.owners(block) == 0, "block {} is in use and forgotten", block);
        forget(block);
      }
    }
    index_.drop_reference(entry);
  }
}

HostSlot KvCache::offer_host_block(std::span<const TokenId> tokens, std::string_view extra_key,
                                   int32_t group) {
  if (!config_.prefix_cache || tokens.empty() || host_.slots() == 0) return kNoSlot;
  const auto size = static_cast<size_t>(block_size());
  EntryId entry = index_.find_or_add_root(extra_key);
  if (entry == kNoEntry) return kNoSlot;
  index_.add_reference(entry);
  for (size_t first = 0; first < tokens.size() && entry != kNoEntry; first += size) {
    const EntryId parent = entry;
    const auto block = tokens.subspan(first, std::min(size, tokens.size() - first));
    entry = index_.find_or_add(parent, block);
    if (entry != kNoEntry) index_.add_reference(entry);
    index_.drop_reference(parent);
  }
  if (entry == kNoEntry) return kNoSlot;
  const HostSlot slot =
      present(entry, group) ? kNoSlot : take_host_slot(entry, group, /*report_spill=*/false);
  index_.drop_reference(entry);
  return slot;
}

void KvCache::visit_contents(const std::function<bool(const BlockContent&)>& visit) const {
  OCTAVO_CHECK(held_.empty() && copied_.empty(), "a step is in flight");
  struct Place {
    int32_t depth = 0;
    EntryId entry = kNoEntry;
    BlockContent content;
  };
  std::vector<Place> places;
  const auto add = [&](EntryId entry, const BlockContent& content) {
    int32_t depth = 0;
    for (EntryId at = entry; at != kNoEntry; at = index_.parent(at)) ++depth;
    places.push_back({depth, entry, content});
  };
  for (BlockId block = 0; block < static_cast<BlockId>(contents_.size()); ++block) {
    const EntryId entry = index_.entry_of(block);
    if (entry == kNoEntry) continue;
    const int32_t group = index_.group_of(block);
    if (index_.block(entry, group) == block) add(entry, {.block = block, .group = group});
  }
  for (HostSlot slot = 0; slot < host_.slots(); ++slot) {
    if (!host_.is_used(slot)) continue;
    const EntryId entry = host_.entry(slot);
    const int32_t group = host_.group(slot);
    if (index_.block(entry, group) == kNoBlock) add(entry, {.host_slot = slot, .group = group});
  }
  std::ranges::stable_sort(places, {}, &Place::depth);
  for (Place& place : places) {
    place.content.tokens = index_.prefix(place.entry);
    place.content.extra_key = index_.extra_key(place.entry);
    if (!visit(place.content)) return;
    place.content.tokens = {};
  }
}

}  // namespace octavo
