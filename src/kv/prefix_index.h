// PrefixIndex: which blocks hold which token prefix.
//
// An entry stands for the content of one block at one place: the content of everything before (its
// parent entry) and its tokens. It has block_size tokens, or fewer where a sequence ended inside a
// block; only full entries have children. The first block's parent is the root of its extra key:
// whatever else changes K and V (adapter, image digest, a tenant's salt). Every block with the
// content, of any KV group, is attached to the one entry, and so is at most one slot of the host
// tier per KV group.
//
// Most prefixes go on in one way only, so the first of an entry's children is found through its
// parent; the others, and the roots, by hash(parent's hash, tokens) in a table. A hit counts only
// when parent and tokens are equal; a root's only when the whole extra key is. A collision thus
// costs time and never gives a wrong block. Comparing the parents' ids is enough: an entry outlives
// its children, so no other entry gets its id while a child could be found.
//
// An entry lives while something refers to it: an attached block or slot, a child, or a sequence
// whose indexed tokens end there.
//
// Find, add, attach and detach are O(1) expected. Memory is bounded by max_entries. Not thread
// safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kv/entry_table.h"
#include "kv/group.h"

namespace octavo {

// Of an extra key, or of a block's tokens after what `parent_hash` stands for. Replaceable so that
// tests can force collisions.
using ContentHash = uint64_t (*)(uint64_t parent_hash, std::span<const std::byte> content);
uint64_t xxh3_hash(uint64_t parent_hash, std::span<const std::byte> content);

class PrefixIndex {
 public:
  PrefixIndex(int32_t block_size, int32_t groups, int64_t max_entries, ContentHash hash);

  // The empty prefix of an extra key; kNoEntry when nothing is known with that key.
  EntryId find_root(std::string_view extra_key) const;
  // `tokens` holds 1 to block_size tokens. kNoEntry when exactly this content is unknown.
  EntryId find(EntryId parent, std::span<const TokenId> tokens) const;
  // The same, or adds it; kNoEntry when max_entries exist. Nothing refers to a new entry: the
  // caller attaches a block or adds a reference before the next call.
  EntryId find_or_add_root(std::string_view extra_key);
  EntryId find_or_add(EntryId parent, std::span<const TokenId> tokens);

  // A block of the group with this content; kNoBlock when none is attached.
  BlockId block(EntryId entry, int32_t group) const {
    return places_[at(entry, group)].first_block;
  }
  // The slot of the host tier that holds the content for a group; kNoSlot when none does.
  HostSlot host_slot(EntryId entry, int32_t group) const { return places_[at(entry, group)].slot; }
  EntryId parent(EntryId entry) const { return record(entry).parent; }  // of a root: kNoEntry
  std::span<const TokenId> tokens(EntryId entry) const;
  uint64_t content_hash(EntryId entry) const { return record(entry).hash; }
  std::vector<TokenId> prefix(EntryId entry) const;  // all tokens up to the entry's last
  const std::string& extra_key(EntryId entry) const;

  // The entries that continue `parent`: the first, then the newest of the others and so on;
  // kNoEntry after the last.
  EntryId first_child(EntryId parent) const { return record(parent).first_child; }
  EntryId next_sibling(EntryId entry) const { return record(entry).next_sibling; }

  void attach(EntryId entry, int32_t group, BlockId block);  // the block must not be attached
  void detach(BlockId block);                                // does nothing when it is not attached
  EntryId entry_of(BlockId block) const;                     // kNoEntry when it is not attached
  int32_t group_of(BlockId block) const;                     // of an attached block
  bool has_other_block(BlockId block) const;  // another block of the group has the same content
  // A hint that the block will be detached next, and its entry used anew. Changes nothing.
  void prefetch(BlockId block) const;
  // A hint that the entry will get a child.
  void prefetch_entry(EntryId entry) const { __builtin_prefetch(&record(entry), /*rw=*/1); }

  void attach_host(EntryId entry, int32_t group, HostSlot slot);  // no slot may be attached
  void detach_host(EntryId entry, int32_t group);                 // a slot must be attached

  void add_reference(EntryId entry);
  void drop_reference(EntryId entry);  // of kNoEntry, nothing happens

  int64_t size() const { return size_; }
  int64_t host_slots_attached() const;  // O(entries)
  // The first breach found in tables, links and reference counts; nothing when all is well.
  // `outside_references[entry]` are the callers'.
  std::optional<std::string> check_integrity(const std::vector<int32_t>& outside_references) const;
  int64_t slots() const { return static_cast<int64_t>(entries_.size()); }  // bound of entry ids

 private:
  // Two in a line of the processor's cache: memory latency is most of what the index costs.
  struct Entry {
    uint64_t hash = 0;
    EntryId parent = kNoEntry;
    EntryId first_child = kNoEntry;
    EntryId prev_sibling = kNoEntry;
    EntryId next_sibling = kNoEntry;  // of an unused record: the next unused one
    int32_t references = 0;
    int32_t token_count = kUnused;  // 0: a root
  };
  static constexpr int32_t kUnused = -1;
  struct Place {  // of an entry's content for one group
    BlockId first_block = kNoBlock;
    HostSlot slot = kNoSlot;
  };
  struct Attachment {  // per block: a doubly linked list of the entry's blocks of one group
    EntryId entry = kNoEntry;
    int32_t group = 0;
    BlockId prev = kNoBlock;
    BlockId next = kNoBlock;
  };

  Entry& record(EntryId entry) { return entries_[static_cast<size_t>(entry)]; }
  const Entry& record(EntryId entry) const { return entries_[static_cast<size_t>(entry)]; }
  size_t at(EntryId entry, int32_t group) const {
    return static_cast<size_t>(entry) * static_cast<size_t>(groups_) + static_cast<size_t>(group);
  }
  uint64_t hash_root(std::string_view extra_key) const;
  uint64_t hash_block(EntryId parent, std::span<const TokenId> tokens) const;
  bool is(EntryId entry, EntryId parent, std::span<const TokenId> tokens) const;
  void link(EntryId entry, EntryId parent);
  void unlink(EntryId entry);
  EntryId find_hashed_root(uint64_t hash, std::string_view extra_key) const;
  EntryId add(uint64_t hash, int32_t token_count);
  EntryId erase(EntryId entry);  // returns its parent, which has lost a reference
  std::optional<std::string> check_links(EntryId entry) const;

  int32_t block_size_;
  int32_t groups_;
  int64_t max_entries_;
  ContentHash hash_;
  int64_t size_ = 0;
  EntryId unused_ = kNoEntry;                           // list of unused records
  EntryTable table_;                                    // roots, and children but the first
  std::vector<Entry> entries_;                          // by EntryId
  std::vector<TokenId> tokens_;                         // [entries, block_size]
  std::vector<Place> places_;                           // [entries, groups]
  std::unordered_map<EntryId, std::string> root_keys_;  // of every root
  std::vector<Attachment> attachments_;                 // by BlockId
};

}  // namespace octavo
