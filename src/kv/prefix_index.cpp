#include "kv/prefix_index.h"

#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace octavo {

namespace {

constexpr uint64_t kNoParentHash = 0;

}  // namespace

uint64_t xxh3_hash(uint64_t parent_hash, std::span<const std::byte> content) {
  return XXH3_64bits_withSeed(content.data(), content.size(), parent_hash);
}

PrefixIndex::PrefixIndex(int32_t block_size, int32_t groups, int64_t max_entries, ContentHash hash)
    : block_size_(block_size), groups_(groups), max_entries_(max_entries), hash_(hash) {
  OCTAVO_CHECK(block_size >= 1 && groups >= 1 && hash != nullptr);
}

std::span<const TokenId> PrefixIndex::tokens(EntryId entry) const {
  const auto size = static_cast<size_t>(block_size_);
  return {tokens_.data() + static_cast<size_t>(entry) * size,
          static_cast<size_t>(record(entry).token_count)};
}

// ---- find and add

uint64_t PrefixIndex::hash_root(std::string_view extra_key) const {
  return hash_(kNoParentHash, std::as_bytes(std::span(extra_key)));
}

uint64_t PrefixIndex::hash_block(EntryId parent, std::span<const TokenId> tokens) const {
  return hash_(record(parent).hash, std::as_bytes(tokens));
}

EntryId PrefixIndex::find_hashed_root(uint64_t hash, std::string_view extra_key) const {
  return table_.find(hash, [&](EntryId entry) {
    return record(entry).parent == kNoEntry && root_keys_.at(entry) == extra_key;
  });
}

bool PrefixIndex::is(EntryId entry, EntryId parent, std::span<const TokenId> tokens) const {
  return record(entry).parent == parent && std::ranges::equal(this->tokens(entry), tokens);
}

EntryId PrefixIndex::find(EntryId parent, std::span<const TokenId> tokens) const {
  const EntryId first = first_child(parent);
  if (first == kNoEntry || is(first, parent, tokens)) return first;
  if (next_sibling(first) == kNoEntry) return kNoEntry;
  return table_.find(hash_block(parent, tokens),
                     [&](EntryId entry) { return is(entry, parent, tokens); });
}

EntryId PrefixIndex::find_root(std::string_view extra_key) const {
  return find_hashed_root(hash_root(extra_key), extra_key);
}

EntryId PrefixIndex::find_or_add_root(std::string_view extra_key) {
  const uint64_t hash = hash_root(extra_key);
  EntryId id = find_hashed_root(hash, extra_key);
  if (id != kNoEntry || size_ >= max_entries_) return id;
  id = add(hash, 0);
  table_.insert(hash, id);
  root_keys_.emplace(id, extra_key);
  return id;
}

EntryId PrefixIndex::find_or_add(EntryId parent, std::span<const TokenId> tokens) {
  OCTAVO_CHECK(!tokens.empty() && tokens.size() <= static_cast<size_t>(block_size_));
  EntryId id = find(parent, tokens);
  if (id != kNoEntry || size_ >= max_entries_) return id;
  id = add(hash_block(parent, tokens), static_cast<int32_t>(tokens.size()));
  std::ranges::copy(tokens, tokens_.begin() + static_cast<ptrdiff_t>(id) * block_size_);
  link(id, parent);
  add_reference(parent);
  return id;
}

void PrefixIndex::link(EntryId entry, EntryId parent) {
  Entry& e = record(entry);
  e.parent = parent;
  EntryId& first = record(parent).first_child;
  if (first == kNoEntry) {
    first = entry;
    return;
  }
  e.prev_sibling = first;
  e.next_sibling = std::exchange(record(first).next_sibling, entry);
  if (e.next_sibling != kNoEntry) record(e.next_sibling).prev_sibling = entry;
  table_.insert(e.hash, entry);
}

void PrefixIndex::unlink(EntryId entry) {
  const Entry& e = record(entry);
  if (e.next_sibling != kNoEntry) record(e.next_sibling).prev_sibling = e.prev_sibling;
  if (e.prev_sibling != kNoEntry) {
    record(e.prev_sibling).next_sibling = e.next_sibling;
    table_.erase(e.hash, entry);
    return;
  }
  record(e.parent).first_child = e.next_sibling;
  if (e.next_sibling != kNoEntry) table_.erase(record(e.next_sibling).hash, e.next_sibling);
}

// An entry without parent, tokens and blocks.
EntryId PrefixIndex::add(uint64_t hash, int32_t token_count) {
  EntryId id = unused_;
  if (id != kNoEntry) {
    unused_ = record(id).next_sibling;
  } else {
    id = static_cast<EntryId>(entries_.size());
    entries_.emplace_back();
    tokens_.resize(tokens_.size() + static_cast<size_t>(block_size_));
    places_.resize(places_.size() + static_cast<size_t>(groups_));
  }
  record(id) = {.hash = hash, .token_count = token_count};
  ++size_;
  return id;
}

// ---- references

void PrefixIndex::add_reference(EntryId entry) {
  ++record(entry).references;
}

void PrefixIndex::drop_reference(EntryId entry) {
  while (entry != kNoEntry) {
    Entry& e = record(entry);
    OCTAVO_CHECK(e.references > 0, "prefix entry {} has no reference to drop", entry);
    if (--e.references > 0) return;
    entry = erase(entry);
  }
}

EntryId PrefixIndex::erase(EntryId entry) {
  const EntryId parent = this->parent(entry);
  if (parent == kNoEntry) {
    table_.erase(content_hash(entry), entry);
    root_keys_.erase(entry);
  } else {
    unlink(entry);
  }
  record(entry) = {.next_sibling = unused_};
  unused_ = entry;
  --size_;
  return parent;
}

// ---- blocks and host slots

void PrefixIndex::attach(EntryId entry, int32_t group, BlockId block) {
  if (attachments_.size() <= static_cast<size_t>(block)) {
    attachments_.resize(static_cast<size_t>(block) + 1);
  }
  Attachment& a = attachments_[static_cast<size_t>(block)];
  OCTAVO_CHECK(a.entry == kNoEntry, "block {} is attached twice", block);
  BlockId& first = places_[at(entry, group)].first_block;
  a = {.entry = entry, .group = group, .prev = kNoBlock, .next = first};
  if (first != kNoBlock) attachments_[static_cast<size_t>(first)].prev = block;
  first = block;
  add_reference(entry);
}

void PrefixIndex::detach(BlockId block) {
  const EntryId entry = entry_of(block);
  if (entry == kNoEntry) return;
  Attachment& a = attachments_[static_cast<size_t>(block)];
  if (a.prev == kNoBlock) {
    places_[at(entry, a.group)].first_block = a.next;
  } else {
    attachments_[static_cast<size_t>(a.prev)].next = a.next;
  }
  if (a.next != kNoBlock) attachments_[static_cast<size_t>(a.next)].prev = a.prev;
  a = {};
  drop_reference(entry);
}

EntryId PrefixIndex::entry_of(BlockId block) const {
  const auto index = static_cast<size_t>(block);
  return index < attachments_.size() ? attachments_[index].entry : kNoEntry;
}

int32_t PrefixIndex::group_of(BlockId block) const {
  return attachments_[static_cast<size_t>(block)].group;
}

bool PrefixIndex::has_other_block(BlockId block) const {
  const Attachment& a = attachments_[static_cast<size_t>(block)];
  return a.prev != kNoBlock || a.next != kNoBlock;
}

// Eviction follows the order of last use, which jumps about in a large pool: it mostly waits for
// memory. This lets the wait for one entry overlap with the work on the one before it.
void PrefixIndex::prefetch(BlockId block) const {
  const EntryId entry = entry_of(block);
  if (entry == kNoEntry) return;
  __builtin_prefetch(&record(entry));
  __builtin_prefetch(&places_[at(entry, 0)]);
  __builtin_prefetch(&tokens_[static_cast<size_t>(entry) * static_cast<size_t>(block_size_)]);
}

void PrefixIndex::attach_host(EntryId entry, int32_t group, HostSlot slot) {
  HostSlot& held = places_[at(entry, group)].slot;
  OCTAVO_CHECK(held == kNoSlot, "prefix entry {} is in host slots {} and {}", entry, held, slot);
  held = slot;
  add_reference(entry);
}

void PrefixIndex::detach_host(EntryId entry, int32_t group) {
  HostSlot& held = places_[at(entry, group)].slot;
  OCTAVO_CHECK(held != kNoSlot, "prefix entry {} is in no host slot", entry);
  held = kNoSlot;
  drop_reference(entry);
}

// ---- what an entry stands for

std::vector<TokenId> PrefixIndex::prefix(EntryId entry) const {
  std::vector<EntryId> chain;
  for (; entry != kNoEntry; entry = parent(entry)) chain.push_back(entry);
  std::vector<TokenId> all;
  for (auto link = chain.rbegin(); link != chain.rend(); ++link) {
    const std::span<const TokenId> block = tokens(*link);
    all.insert(all.end(), block.begin(), block.end());
  }
  return all;
}

const std::string& PrefixIndex::extra_key(EntryId entry) const {
  while (parent(entry) != kNoEntry) entry = parent(entry);
  return root_keys_.at(entry);
}

// ---- check

int64_t PrefixIndex::host_slots_attached() const {
  return std::ranges::count_if(places_, [](const Place& place) { return place.slot != kNoSlot; });
}

// Whether the entry is where its parent and the table lead.
std::optional<std::string> PrefixIndex::check_links(EntryId entry) const {
  const Entry& e = record(entry);
  if (e.parent == kNoEntry) {
    const auto key = root_keys_.find(entry);
    if (key == root_keys_.end() || find_hashed_root(e.hash, key->second) != entry) {
      return fmt::format("root {} of the prefixes cannot be found", entry);
    }
    return std::nullopt;
  }
  if (record(e.parent).token_count == kUnused) {
    return fmt::format("prefix entry {} has lost its parent", entry);
  }
  const EntryId from =
      e.prev_sibling == kNoEntry ? first_child(e.parent) : next_sibling(e.prev_sibling);
  if (from != entry)
    return fmt::format("prefix entry {} is not among its parent's children", entry);
  if (e.hash != hash_block(e.parent, tokens(entry)) || find(e.parent, tokens(entry)) != entry) {
    return fmt::format("prefix entry {} cannot be found", entry);
  }
  return std::nullopt;
}

std::optional<std::string> PrefixIndex::check_integrity(
    const std::vector<int32_t>& outside_references) const {
  std::vector<int32_t> references = outside_references;
  references.resize(entries_.size(), 0);
  int64_t in_use = 0;
  size_t roots = 0;
  size_t in_table = 0;
  for (EntryId id = 0; id < slots(); ++id) {
    const Entry& e = record(id);
    if (e.token_count == kUnused) continue;
    ++in_use;
    if (auto breach = check_links(id)) return breach;
    if (e.parent == kNoEntry) {
      ++roots;
      ++in_table;
    } else {
      if (e.prev_sibling != kNoEntry) ++in_table;
      ++references[static_cast<size_t>(e.parent)];
    }
    for (int32_t group = 0; group < groups_; ++group) {
      if (host_slot(id, group) != kNoSlot) ++references[static_cast<size_t>(id)];
    }
  }
  if (in_use != size_ || size_ > max_entries_ || roots != root_keys_.size() ||
      in_table != table_.size()) {
    return "the prefix entries are miscounted";
  }
  for (BlockId block = 0; block < static_cast<BlockId>(attachments_.size()); ++block) {
    const Attachment& a = attachments_[static_cast<size_t>(block)];
    if (a.entry == kNoEntry) continue;
    ++references[static_cast<size_t>(a.entry)];
    const BlockId from = a.prev == kNoBlock ? this->block(a.entry, a.group)
                                            : attachments_[static_cast<size_t>(a.prev)].next;
    if (from != block) return fmt::format("block {} is not in its entry's list", block);
  }
  for (EntryId id = 0; id < slots(); ++id) {
    const Entry& e = record(id);
    if (e.references != references[static_cast<size_t>(id)]) {
      return fmt::format("prefix entry {} counts {} references, not {}", id, e.references,
                         references[static_cast<size_t>(id)]);
    }
    if (e.token_count != kUnused && e.references == 0) {
      return fmt::format("prefix entry {} has leaked", id);
    }
  }
  return std::nullopt;
}

}  // namespace octavo
