// BlockPool: who has which block of the KV cache. It counts; the memory itself is the backend's.
//
// Memory comes in extents, for which an ExtentSource is asked when blocks are secured. Others may
// have taken it meanwhile: then it is short for a second, in which the pool is no larger than what
// it has, and after which it asks again.
//
// Every block is in exactly one of four states:
//
//   uncommitted   its extent has no memory behind it yet
//   free          has memory, holds nothing worth keeping
//   cached        nobody uses it, but a prefix entry says what it holds; a list for each cache
//                 priority, oldest use first
//   in use        at least one block table owns it, or a step in flight still holds it
//
// Owners are block tables. A hold keeps a block without owners from being taken again until the
// step that reads or writes it is over; it does not count as an owner. A block with two owners must
// not be written (the callers copy first).
//
// Take, give and touch are O(1), but for blocks with a time to live, whose expiry is kept in a set:
// O(log n). Free and cached blocks are in doubly linked lists whose links are
// embedded in the block records. Time is what set_time() was told. Not thread safe; one thread
// drives it.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "kv/group.h"

namespace octavo {

// uncommitted + free + cached + in_use = total, always.
struct PoolCounts {
  int32_t total = 0;
  int32_t uncommitted = 0;
  int32_t free = 0;
  int32_t cached = 0;
  int32_t in_use = 0;
  int32_t held = 0;    // of those in use: without owners, waiting for a step in flight
  int32_t shared = 0;  // of those in use: with two owners or more

  friend bool operator==(const PoolCounts&, const PoolCounts&) = default;
};

// Puts memory behind an extent; false: there is none now. Empty: there always is.
using ExtentSource = std::function<bool(ExtentId)>;

class BlockPool {
 public:
  // max_blocks >= 0, extent_blocks >= 1. The last extent may be shorter than the others.
  BlockPool(int32_t max_blocks, int32_t extent_blocks, ExtentSource source = {});

  // Makes `count` calls of take() succeed, which leave `kept` of the cached blocks alone. Asks for
  // memory rather than let something cached be evicted. False: there are not so many, and nothing
  // has been evicted.
  bool secure(int32_t count, int32_t kept = 0) {
    return count <= counts_.free || secure_more(count, kept);
  }
  // For how many secure() can be asked, if the memory is there.
  int32_t available() const {
    return counts_.free + counts_.cached + (is_short() ? 0 : counts_.uncommitted);
  }
  bool is_short() const { return now_ms_ < short_until_ms_; }  // memory was refused a moment ago

  struct Taken {
    BlockId block = kNoBlock;
    bool evicted = false;  // it was cached: the caller must forget what it held
  };

  // A block with one owner: a free one, else the least recently used cached one of the lowest
  // priority. {kNoBlock, false} when there is neither: secure() first.
  Taken take();

  void add_owner(BlockId block);     // in use or cached (a prefix hit)
  void remove_owner(BlockId block);  // the last one sends it to the cached or the free blocks
  void hold(BlockId block);
  void release_hold(BlockId block);

  // A use of the block's content that asks for it to be kept. The highest priority asked for
  // counts, until its time to live is over.
  void retain(BlockId block, const Retention& retention);
  // The time in milliseconds, which never goes back. Blocks whose time to live is over fall to the
  // default priority.
  void set_time(int64_t now_ms);

  // Whether a prefix entry refers to the block, which decides where it goes when it is given back.
  // A cached block that loses its content becomes free.
  void set_content(BlockId block, bool has_content);

  int32_t owners(BlockId block) const { return record(block).owners; }
  bool is_cached(BlockId block) const { return record(block).state == State::cached; }
  bool has_content(BlockId block) const { return record(block).has_content; }
  BlockId next_to_evict() const;  // kNoBlock when none is cached

  // Makes every extent whose blocks are all free uncommitted again; their memory may be given back.
  std::vector<ExtentId> release_empty_extents();

  const PoolCounts& counts() const { return counts_; }

  // The first breach found in counts, lists and states; nothing when all is well.
  std::optional<std::string> check_integrity() const;
  // The number of holds on a block, for the same check one level up.
  int32_t holds(BlockId block) const { return record(block).holds; }
  bool is_committed(BlockId block) const;

 private:
  enum class State : uint8_t { uncommitted, free, cached, in_use };
  struct Record {
    int32_t prev = 0;  // links of the free or cached list, as indices into records_
    int32_t next = 0;
    int32_t owners = 0;
    int32_t holds = 0;
    State state = State::uncommitted;
    bool has_content = false;
    int8_t priority = kNoPriority;
    int64_t expires_ms = kNever;  // when `priority` falls to the default one
  };
  static constexpr int8_t kNoPriority = -1;  // nobody asked for one: counts as the default
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
  // The first records are the heads of the circular lists: the free blocks', then one for the
  // cached blocks of each priority. Block b is records_[b + kHeads].
  static constexpr int32_t kFreeHead = 0;
  static constexpr int32_t kCachedHeads = 1;
  static constexpr int32_t kHeads = kCachedHeads + kCachePriorities;

  Record& record(BlockId block);
  const Record& record(BlockId block) const {
    const size_t index = static_cast<size_t>(block) + kHeads;
    OCTAVO_CHECK(block >= 0 && index < records_.size(), "block {} has no memory", block);
    return records_[index];
  }
  void unlink(int32_t index);
  void link_before(int32_t head, int32_t index);  // at the tail of the list
  void link_after(int32_t head, int32_t index);   // at its front
  int32_t list_of(const Record& record) const;    // of a cached block
  void set_expiry(BlockId block, int64_t expires_ms);
  void forget_retention(BlockId block);
  void settle(BlockId block);  // after the last owner and hold are gone
  bool secure_more(int32_t count, int32_t kept);
  void open_extent();
  std::optional<std::string> check_list(int32_t head, int32_t& linked) const;
  int32_t extent_count() const;
  BlockId extent_end(ExtentId extent) const;

  int32_t max_blocks_;
  int32_t extent_blocks_;
  ExtentSource source_;
  std::vector<Record> records_;          // grows with the highest extent that was ever committed
  std::vector<ExtentId> idle_extents_;   // uncommitted, the next one to use last
  std::vector<int32_t> free_in_extent_;  // per extent: how many of its blocks are free
  std::set<std::pair<int64_t, BlockId>> expiries_;  // of the blocks that have one
  int64_t now_ms_ = 0;
  int64_t short_until_ms_ = 0;
  PoolCounts counts_;
};

}  // namespace octavo
