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

std::span<const TokenId> PrefixIndex::tokens_of(EntryId entry) const {
  const auto size = static_cast<size_t>(block_size_);
  return {tokens_.data() + static_cast<size_t>(entry) * size, size};
}

BlockId& PrefixIndex::head(EntryId entry, int32_t group) {
  return heads_[static_cast<size_t>(entry) * static_cast<size_t>(groups_) +
                static_cast<size_t>(group)];
}

BlockId PrefixIndex::block(EntryId entry, int32_t group) const {
  return heads_[static_cast<size_t>(entry) * static_cast<size_t>(groups_) +
                static_cast<size_t>(group)];
}

EntryId PrefixIndex::find_hashed(uint64_t hash, EntryId parent, std::span<const TokenId> tokens,
                                 std::string_view extra_key) const {
  const uint64_t parent_serial = serial_of(parent);
  for (EntryId id = buckets_[bucket_of(hash)]; id != kNoEntry;
       id = entries_[static_cast<size_t>(id)].next_in_bucket) {
    const Entry& e = entries_[static_cast<size_t>(id)];
    if (e.hash == hash && e.parent_serial == parent_serial &&
        std::ranges::equal(tokens_of(id), tokens) && e.extra_key == extra_key) {
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
  OCTAVO_CHECK(tokens.size() == static_cast<size_t>(block_size_));
  const uint64_t hash = hash_(hash_of(parent), tokens, extra_key);
  EntryId id = find_hashed(hash, parent, tokens, extra_key);
  if (id != kNoEntry || size_ >= max_entries_) return id;

  if (static_cast<size_t>(size_) >= buckets_.size()) grow_buckets();
  if (unused_ != kNoEntry) {
    id = unused_;
    unused_ = entries_[static_cast<size_t>(id)].next_in_bucket;
  } else {
    id = static_cast<EntryId>(entries_.size());
    entries_.emplace_back();
    tokens_.resize(tokens_.size() + static_cast<size_t>(block_size_));
    heads_.resize(heads_.size() + static_cast<size_t>(groups_));
  }
  Entry& e = entries_[static_cast<size_t>(id)];
  e = Entry{.hash = hash,
            .serial = next_serial_++,
            .parent_serial = serial_of(parent),
            .parent = parent,
            .next_in_bucket = buckets_[bucket_of(hash)],
            .extra_key = std::string(extra_key)};
  buckets_[bucket_of(hash)] = id;
  std::ranges::copy(tokens, tokens_.begin() + static_cast<ptrdiff_t>(id) * block_size_);
  for (int32_t group = 0; group < groups_; ++group) head(id, group) = kNoBlock;
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
  BlockId& first = head(entry, group);
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
    head(entry, a.group) = a.next;
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
  for (const Entry& e : entries_) {
    if (e.serial == 0) continue;
    ++in_use;
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
    if (find_hashed(e.hash, e.parent, tokens_of(id), e.extra_key) != id) {
      return fmt::format("prefix entry {} cannot be found", i);
    }
  }
  return std::nullopt;
}

}  // namespace octavo
