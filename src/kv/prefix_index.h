// PrefixIndex: which blocks hold which token prefix.
//
// An entry stands for the content of one block at one place: its parent entry (the content of
// everything before), its tokens and an extra key (whatever else changes K and V: adapter, image
// digest, a tenant's salt). It has block_size tokens, or fewer where a sequence ended inside a
// block; only full entries have children. Every block with that content, of any KV group, is
// attached to the one entry, and so is at most one slot of the host tier per KV group. Entries are
// found by hash(parent's hash, tokens, extra key), and a hit counts only when
// the parent's serial number, the tokens and the whole extra key are equal: a collision costs time
// and never gives a wrong block.
//
// An entry lives while a block or slot is attached or something refers to it: a child entry, or a
// sequence whose indexed tokens end there.
//
// Find, add, attach and detach are O(1) expected. Memory is bounded by max_entries. Not thread
// safe.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kv/group.h"

namespace octavo {

using EntryId = int32_t;
inline constexpr EntryId kRootEntry = -1;  // the empty prefix
inline constexpr EntryId kNoEntry = -2;

// Replaceable so that tests can force collisions.
using BlockHash = uint64_t (*)(uint64_t parent_hash, std::span<const TokenId> tokens,
                               std::string_view extra_key);
uint64_t xxh3_block_hash(uint64_t parent_hash, std::span<const TokenId> tokens,
                         std::string_view extra_key);

class PrefixIndex {
 public:
  PrefixIndex(int32_t block_size, int32_t groups, int64_t max_entries, BlockHash hash);

  // `tokens` holds 1 to block_size tokens. kNoEntry when exactly this content is unknown.
  EntryId find(EntryId parent, std::span<const TokenId> tokens, std::string_view extra_key) const;
  // Finds or adds; kNoEntry when max_entries exist. A new entry has nothing attached: the caller
  // attaches a block or adds a reference before the next call.
  EntryId find_or_add(EntryId parent, std::span<const TokenId> tokens, std::string_view extra_key);

  // A block of the group with this content; kNoBlock when none is attached.
  BlockId block(EntryId entry, int32_t group) const;
  EntryId parent(EntryId entry) const { return entries_[static_cast<size_t>(entry)].parent; }
  std::span<const TokenId> tokens(EntryId entry) const;
  const std::string& extra_key(EntryId entry) const {
    return entries_[static_cast<size_t>(entry)].extra_key;
  }
  uint64_t content_hash(EntryId entry) const { return hash_of(entry); }
  std::vector<TokenId> prefix(
      EntryId entry) const;  // all tokens from the first to the entry's last

  // The entries with this extra key that continue `parent`, the newest first; kNoEntry after the
  // last.
  EntryId first_child(EntryId parent, std::string_view extra_key) const;
  EntryId next_sibling(EntryId entry) const {
    return entries_[static_cast<size_t>(entry)].next_sibling;
  }

  void attach(EntryId entry, int32_t group, BlockId block);  // the block must not be attached
  void detach(BlockId block);                                // does nothing when it is not attached
  EntryId entry_of(BlockId block) const;                     // kNoEntry when it is not attached
  int32_t group_of(BlockId block) const;                     // of an attached block
  bool has_other_block(BlockId block) const;  // another block of the group has the same content

  // The slot of the host tier that holds the content for a group; kNoSlot when none does.
  HostSlot host_slot(EntryId entry, int32_t group) const;
  void attach_host(EntryId entry, int32_t group, HostSlot slot);  // no slot may be attached
  void detach_host(EntryId entry, int32_t group);                 // a slot must be attached

  void add_reference(EntryId entry);  // the root may be referred to as well; nothing happens
  void drop_reference(EntryId entry);

  int64_t size() const { return size_; }
  int64_t host_slots_attached() const;  // O(entries)
  // The first breach found in tables, links and reference counts; nothing when all is well.
  // `outside_references[entry]` are the callers'.
  std::optional<std::string> check_integrity(const std::vector<int32_t>& outside_references) const;
  int64_t slots() const { return static_cast<int64_t>(entries_.size()); }  // bound of entry ids

 private:
  struct Entry {
    uint64_t hash = 0;
    uint64_t serial = 0;  // 0: the record is unused; never given twice
    uint64_t parent_serial = 0;
    EntryId parent = kRootEntry;
    EntryId next_in_bucket = kNoEntry;  // of an unused record: the next unused one
    EntryId first_child = kNoEntry;
    EntryId prev_sibling = kNoEntry;
    EntryId next_sibling = kNoEntry;
    int32_t token_count = 0;
    int32_t references = 0;  // children and the callers' own
    int32_t attached = 0;    // blocks and host slots of all groups
    std::string extra_key;
  };
  struct Attachment {  // per block: a doubly linked list of the entry's blocks of one group
    EntryId entry = kNoEntry;
    int32_t group = 0;
    BlockId prev = kNoBlock;
    BlockId next = kNoBlock;
  };

  uint64_t hash_of(EntryId entry) const;
  uint64_t serial_of(EntryId entry) const;
  EntryId find_hashed(uint64_t hash, EntryId parent, std::span<const TokenId> tokens,
                      std::string_view extra_key) const;
  size_t at(EntryId entry, int32_t group) const {
    return static_cast<size_t>(entry) * static_cast<size_t>(groups_) + static_cast<size_t>(group);
  }
  EntryId& first_child_of(const Entry& entry);  // the head of the list that the entry is in
  void link_child(EntryId entry);
  void unlink_child(EntryId entry);
  size_t bucket_of(uint64_t hash) const { return hash & (buckets_.size() - 1); }
  void grow_buckets();
  void erase_if_unused(EntryId entry);  // and then its ancestors that nothing needs any more

  int32_t block_size_;
  int32_t groups_;
  int64_t max_entries_;
  BlockHash hash_;
  int64_t size_ = 0;
  uint64_t next_serial_ = 1;
  EntryId unused_ = kNoEntry;                                     // list of unused records
  std::vector<EntryId> buckets_;                                  // a power of two of chains
  std::vector<Entry> entries_;                                    // by EntryId
  std::vector<TokenId> tokens_;                                   // [entries, block_size]
  std::unordered_map<std::string, EntryId> first_root_children_;  // by extra key; none is kNoEntry
  std::vector<BlockId> heads_;           // [entries, groups]: first attached block
  std::vector<HostSlot> host_slots_;     // [entries, groups]
  std::vector<Attachment> attachments_;  // by BlockId
};

}  // namespace octavo
