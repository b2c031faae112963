// HostTier: who has which slot of the host tier, the second home of cached blocks.
//
// A slot is room for one block in the host's memory. It is free, or it holds the content of one
// prefix entry for one KV group, which the prefix index knows too. The least recently used slot is
// given away first. Slots that a step reads or writes are pinned until that step is over.
//
// Bookkeeping only: the bytes are the engine's. Not thread safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kv/group.h"
#include "kv/prefix_index.h"

namespace octavo {

class HostTier {
 public:
  explicit HostTier(int32_t slots);

  int32_t slots() const { return static_cast<int32_t>(records_.size()) - 1; }
  int32_t used() const { return used_; }

  struct Taken {
    HostSlot slot = kNoSlot;   // kNoSlot: there is none that is not pinned
    EntryId entry = kNoEntry;  // what it held, which the caller must forget; kNoEntry: nothing
    int32_t group = 0;
  };
  // A slot for the content of (entry, group): a free one, else the least recently used. `ended` is
  // the newest step that is over.
  Taken take(EntryId entry, int32_t group, uint64_t ended);
  // Frees a slot that holds something; the caller forgets what that was.
  void give(HostSlot slot);
  // Marks a slot as the most recently used, and as used by `step`.
  void use(HostSlot slot, uint64_t step);

  EntryId entry(HostSlot slot) const { return record(slot).entry; }
  int32_t group(HostSlot slot) const { return record(slot).group; }
  bool is_used(HostSlot slot) const { return record(slot).entry != kNoEntry; }

  // The first breach found in list and counts.
  std::optional<std::string> check_integrity() const;

 private:
  struct Record {
    int32_t prev = 0;  // links of the used slots, oldest use first, or (next) of the free ones
    int32_t next = 0;
    EntryId entry = kNoEntry;
    int32_t group = 0;
    uint64_t pinned_by = 0;  // the newest step that reads or writes the slot
  };
  const Record& record(HostSlot slot) const { return records_[static_cast<size_t>(slot) + 1]; }
  void unlink(int32_t index);
  void link_last(int32_t index);

  std::vector<Record> records_;  // the first is the head of the used slots; slot s is s + 1
  int32_t first_free_ = 0;       // an index into records_; 0: none
  int32_t used_ = 0;
};

}  // namespace octavo
