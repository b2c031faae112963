#include "kv/prefix_index.h"

#include <xxhash.h>

#include <algorithm>

#include "base/check.h"

namespace octavo {

namespace {

constexpr uint64_t kRootHash = 0;
constexpr uint64_t kRootSerial = 0;
constexpr size_t kFirstBuckets = 64;

}  // namespace

uint64_t xxh3_block_hash(uint64_t parent_hash, std::span<const TokenId> tokens,
                         std::string_view extra_key) {
  const uint64_t hash = XXH3_64bits_withSeed(tokens.data(), tokens.size_bytes(), parent_hash);
  return extra_key.empty() ? hash : XXH3_64bits_withSeed(extra_key.data(), extra_key.size(), hash);
}

PrefixIndex::PrefixIndex(int32_t block_size, int32_t groups, int64_t max_entries, BlockHash hash)
    : block_size_(block_size),
      groups_(groups),
      max_entries_(max_entries),
      hash_(hash),
      buckets_(kFirstBuckets, kNoEntry) {
  OCTAVO_CHECK(block_size >= 1 && groups >= 1 && hash != nullptr);
}

uint64_t PrefixIndex::hash_of(EntryId entry) const {
  return entry == kRootEntry ? kRootHash : entries_[static_cast<size_t>(entry)].hash;
}

uint64_t PrefixIndex::serial_of(EntryId entry) const {
  return entry == kRootEntry ? kRootSerial : entries_[static_cast<size_t>(entry)].serial;
}

std::span<const TokenId> PrefixIndex::tokens(EntryId entry) const {
  const auto size = static_cast<size_t>(block_size_);
  const Entry& e = entries_[static_cast<size_t>(entry)];
  return {tokens_.data() + static_cast<size_t>(entry) * size, static_cast<size_t>(e.token_count)};
}

BlockId PrefixIndex::block(EntryId entry, int32_t group) const {
  return heads_[at(entry, group)];
}

HostSlot PrefixIndex::host_slot(EntryId entry, int32_t group) const {
  return host_slots_[at(entry, group)];
}

EntryId PrefixIndex::first_child(EntryId parent, std::string_view extra_key) const {
  // Below the root all entries of a chain have one extra key; the root has a list for each.
  if (parent != kRootEntry) return entries_[static_cast<size_t>(parent)].first_child;
  const auto found = first_root_children_.find(std::string(extra_key));
  return found == first_root_children_.end() ? kNoEntry : found->second;
}

EntryId& PrefixIndex::first_child_of(const Entry& entry) {
  if (entry.parent != kRootEntry) return entries_[static_cast<size_t>(entry.parent)].first_child;
  return first_root_children_.try_emplace(entry.extra_key, kNoEntry).first->second;
}

void PrefixIndex::link_child(EntryId entry) {
  Entry& e = entries_[static_cast<size_t>(entry)];
  EntryId& first = first_child_of(e);
  e.next_sibling = first;
  if (first != kNoEntry) entries_[static_cast<size_t>(first)].prev_sibling = entry;
  first = entry;
}

void PrefixIndex::unlink_child(EntryId entry) {
  const Entry& e = entries_[static_cast<size_t>(entry)];
  if (e.prev_sibling == kNoEntry) {
    first_child_of(e) = e.next_sibling;
    if (e.parent == kRootEntry && e.next_sibling == kNoEntry) {
      first_root_children_.erase(e.extra_key);
    }
  } else {
    entries_[static_cast<size_t>(e.prev_sibling)].next_sibling = e.next_sibling;
  }
  if (e.next_sibling != kNoEntry) {
    entries_[static_cast<size_t>(e.next_sibling)].prev_sibling = e.prev_sibling;
  }
}

EntryId PrefixIndex::find_hashed(uint64_t hash, EntryId parent, std::span<const TokenId> tokens,
                                 std::string_view extra_key) const {
  const uint64_t parent_serial = serial_of(parent);
  for (EntryId id = buckets_[bucket_of(hash)]; id != kNoEntry;
       id = entries_[static_cast<size_t>(id)].next_in_bucket) {
    const Entry& e = entries_[static_cast<size_t>(id)];
    if (e.hash == hash && e.parent_serial == parent_serial &&
        std::ranges::equal(this->tokens(id), tokens) && e.extra_key == extra_key) {
      return id;
    }
  }
  return kNoEntry;
}

EntryId PrefixIndex::find(EntryId parent, std::span<const TokenId> tokens,
                          std::string_view extra_key) const {
  return find_hashed(hash_(hash_of(parent), tokens, extra_key), parent, tokens, extra_key);
}

EntryId PrefixIndex::find_or_add(EntryId parent, std::span<const TokenId> tokens,
                                 std::string_view extra_key) {
  OCTAVO_CHECK(!tokens.empty() && tokens.size() <= static_cast<size_t>(block_size_));
  const uint64_t hash = hash_(hash_of(parent), tokens, extra_key);
  EntryId id = find_hashed(hash, parent, tokens, extra_key);
  if (id != kNoEntry || size_ >= max_entries_) return id;
  OCTAVO_CHECK(parent == kRootEntry || this->extra_key(parent) == extra_key,
               "a prefix entry continues another one with another key");

  // At most half full: an entry in another's chain costs a miss of the processor's cache.
  if (2 * static_cast<size_t>(size_) >= buckets_.size()) grow_buckets();
  if (unused_ != kNoEntry) {
    id = unused_;
    unused_ = entries_[static_cast<size_t>(id)].next_in_bucket;
  } else {
    id = static_cast<EntryId>(entries_.size());
    entries_.emplace_back();
    tokens_.resize(tokens_.size() + static_cast<size_t>(block_size_));
    heads_.resize(heads_.size() + static_cast<size_t>(groups_));
    host_slots_.resize(heads_.size());
  }
  Entry& e = entries_[static_cast<size_t>(id)];
  e = Entry{.hash = hash,
            .serial = next_serial_++,
            .parent_serial = serial_of(parent),
            .parent = parent,
            .next_in_bucket = buckets_[bucket_of(hash)],
            .token_count = static_cast<int32_t>(tokens.size()),
            .extra_key = std::string(extra_key)};
  buckets_[bucket_of(hash)] = id;
  std::ranges::copy(tokens, tokens_.begin() + static_cast<ptrdiff_t>(id) * block_size_);
  for (int32_t group = 0; group < groups_; ++group) {
    heads_[at(id, group)] = kNoBlock;
    host_slots_[at(id, group)] = kNoSlot;
  }
  link_child(id);
  add_reference(parent);
  ++size_;
  return id;
}

void PrefixIndex::grow_buckets() {
  std::vector<EntryId> old(buckets_.size() * 2, kNoEntry);
  old.swap(buckets_);
  for (EntryId id : old) {
    while (id != kNoEntry) {
      Entry& e = entries_[static_cast<size_t>(id)];
      const EntryId next = e.next_in_bucket;
      e.next_in_bucket = buckets_[bucket_of(e.hash)];
      buckets_[bucket_of(e.hash)] = id;
      id = next;
    }
  }
}

void PrefixIndex::attach(EntryId entry, int32_t group, BlockId block) {
  if (attachments_.size() <= static_cast<size_t>(block)) {
    attachments_.resize(static_cast<size_t>(block) + 1);
  }
  Attachment& a = attachments_[static_cast<size_t>(block)];
  OCTAVO_CHECK(a.entry == kNoEntry, "block {} is attached twice", block);
  BlockId& first = heads_[at(entry, group)];
  a = {.entry = entry, .group = group, .prev = kNoBlock, .next = first};
  if (first != kNoBlock) attachments_[static_cast<size_t>(first)].prev = block;
  first = block;
  ++entries_[static_cast<size_t>(entry)].attached;
}

void PrefixIndex::detach(BlockId block) {
  const EntryId entry = entry_of(block);
  if (entry == kNoEntry) return;
  Attachment& a = attachments_[static_cast<size_t>(block)];
  if (a.prev == kNoBlock) {
    heads_[at(entry, a.group)] = a.next;
  } else {
    attachments_[static_cast<size_t>(a.prev)].next = a.next;
  }
  if (a.next != kNoBlock) attachments_[static_cast<size_t>(a.next)].prev = a.prev;
  a = Attachment{};
  --entries_[static_cast<size_t>(entry)].attached;
  erase_if_unused(entry);
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

std::vector<TokenId> PrefixIndex::prefix(EntryId entry) const {
  std::vector<EntryId> chain;
  for (; entry != kRootEntry; entry = parent(entry)) chain.push_back(entry);
  std::vector<TokenId> all;
  for (auto link = chain.rbegin(); link != chain.rend(); ++link) {
    const std::span<const TokenId> block = tokens(*link);
    all.insert(all.end(), block.begin(), block.end());
  }
  return all;
}

int64_t PrefixIndex::host_slots_attached() const {
  int64_t count = 0;
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].serial == 0) continue;
    for (int32_t group = 0; group < groups_; ++group) {
      if (host_slot(static_cast<EntryId>(i), group) != kNoSlot) ++count;
    }
  }
  return count;
}

void PrefixIndex::attach_host(EntryId entry, int32_t group, HostSlot slot) {
  HostSlot& held = host_slots_[at(entry, group)];
  OCTAVO_CHECK(held == kNoSlot, "prefix entry {} is in host slots {} and {}", entry, held, slot);
  held = slot;
  ++entries_[static_cast<size_t>(entry)].attached;
}

void PrefixIndex::detach_host(EntryId entry, int32_t group) {
  HostSlot& held = host_slots_[at(entry, group)];
  OCTAVO_CHECK(held != kNoSlot, "prefix entry {} is in no host slot", entry);
  held = kNoSlot;
  --entries_[static_cast<size_t>(entry)].attached;
  erase_if_unused(entry);
}

void PrefixIndex::add_reference(EntryId entry) {
  if (entry != kRootEntry) ++entries_[static_cast<size_t>(entry)].references;
}

void PrefixIndex::drop_reference(EntryId entry) {
  if (entry == kRootEntry) return;
  Entry& e = entries_[static_cast<size_t>(entry)];
  OCTAVO_CHECK(e.references > 0, "prefix entry {} has no reference to drop", entry);
  --e.references;
  erase_if_unused(entry);
}

void PrefixIndex::erase_if_unused(EntryId entry) {
  while (entry != kRootEntry) {
    Entry& e = entries_[static_cast<size_t>(entry)];
    if (e.references > 0 || e.attached > 0) return;
    EntryId* link = &buckets_[bucket_of(e.hash)];
    while (*link != entry) link = &entries_[static_cast<size_t>(*link)].next_in_bucket;
    *link = e.next_in_bucket;
    unlink_child(entry);
    const EntryId parent = e.parent;
    e = Entry{};
    e.next_in_bucket = unused_;
    unused_ = entry;
    --size_;
    if (parent != kRootEntry) --entries_[static_cast<size_t>(parent)].references;
    entry = parent;
  }
}

std::optional<std::string> PrefixIndex::check_integrity(
    const std::vector<int32_t>& outside_references) const {
  std::vector<int32_t> references = outside_references;
  references.resize(entries_.size(), 0);
  std::vector<int32_t> attached(entries_.size(), 0);
  int64_t in_use = 0;
  for (size_t i = 0; i < entries_.size(); ++i) {
    const Entry& e = entries_[i];
    if (e.serial == 0) continue;
    ++in_use;
    for (int32_t group = 0; group < groups_; ++group) {
      if (host_slot(static_cast<EntryId>(i), group) != kNoSlot) ++attached[i];
    }
    const EntryId from = e.prev_sibling == kNoEntry
                             ? first_child(e.parent, e.extra_key)
                             : entries_[static_cast<size_t>(e.prev_sibling)].next_sibling;
    if (from != static_cast<EntryId>(i)) {
      return fmt::format("prefix entry {} is not among its parent's children", i);
    }
    if (e.parent != kRootEntry) ++references[static_cast<size_t>(e.parent)];
  }
  if (in_use != size_ || size_ > max_entries_) return "the prefix entries are miscounted";
  for (size_t block = 0; block < attachments_.size(); ++block) {
    const Attachment& a = attachments_[block];
    if (a.entry == kNoEntry) continue;
    ++attached[static_cast<size_t>(a.entry)];
    const BlockId from = a.prev == kNoBlock ? this->block(a.entry, a.group)
                                            : attachments_[static_cast<size_t>(a.prev)].next;
    if (from != static_cast<BlockId>(block)) {
      return fmt::format("block {} is not in its entry's list", block);
    }
  }
  for (size_t i = 0; i < entries_.size(); ++i) {
    const Entry& e = entries_[i];
    const auto id = static_cast<EntryId>(i);
    if (e.serial == 0) continue;
    if (e.references != references[i] || e.attached != attached[i]) {
      return fmt::format("prefix entry {} counts {} references and {} blocks, not {} and {}", i,
                         e.references, e.attached, references[i], attached[i]);
    }
    if (e.references == 0 && e.attached == 0) return fmt::format("prefix entry {} has leaked", i);
    if (serial_of(e.parent) != e.parent_serial) {
      return fmt::format("prefix entry {} has lost its parent", i);
    }
    if (find_hashed(e.hash, e.parent, tokens(id), e.extra_key) != id) {
      return fmt::format("prefix entry {} cannot be found", i);
    }
  }
  return std::nullopt;
}

}  // namespace octavo
