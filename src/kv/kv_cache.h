// KvCache: the pool, the prefix index and the block tables, changed together so that they agree.
//
// Bookkeeping only: no tensor, no clock, no thread. It owns the pool and the index; the tables
// belong to the sequences and are passed in. All tables of a sequence cover the same positions.
//
// Steps: between begin_step() and end_step() a step that was planned may still read and write
// blocks. A block whose last owner leaves in that time is held until the newest step begun is over.
// Steps end in the order in which they began.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kv/block_pool.h"
#include "kv/block_table.h"
#include "kv/group.h"
#include "kv/prefix_index.h"

namespace octavo {

struct KvConfig {
  int32_t block_size = 16;
  std::vector<GroupSpec> groups = {GroupSpec{}};
  int32_t max_blocks = 0;
  int32_t extent_blocks = 64;  // granularity in which memory is committed and given back
  bool prefix_cache = true;
  BlockHash hash = xxh3_block_hash;
};

// The longest prefix of some tokens that the cache holds.
struct PrefixMatch {
  int32_t blocks = 0;           // full blocks found
  EntryId last = kRootEntry;    // describes the last of them
  int32_t idle_blocks = 0;      // physical blocks of the match that nobody uses now
  int32_t physical_blocks = 0;  // all physical blocks of the match, over all groups
};

class KvCache {
 public:
  explicit KvCache(KvConfig config);

  const KvConfig& config() const { return config_; }
  const PoolCounts& counts() const { return pool_.counts(); }
  int32_t available() const { return pool_.available(); }
  int64_t evictions() const { return evictions_; }
  int64_t copies() const { return copies_; }

  // The most blocks that a sequence of `length` tokens owns at once when it is computed in chunks
  // of `q_len` tokens.
  int64_t peak_blocks(int64_t length, int64_t q_len) const;

  // The same for `sequences` that forked from one of `shared` tokens and grew to `length` each.
  int64_t peak_blocks_of_forks(int64_t length, int64_t shared, int64_t sequences) const;

  // The longest usable prefix, which ends at most one token before the tokens' end: every block in
  // global groups, the last window's blocks in windowed ones. O(blocks matched).
  PrefixMatch match(std::span<const TokenId> tokens, std::string_view extra_key);
  // Gives empty tables the blocks of a match made just before.
  void adopt(SequenceBlocks& blocks, const PrefixMatch& match);

  // How many blocks make_writable() would take.
  int32_t blocks_to_take(const SequenceBlocks& blocks, int32_t first, int32_t count) const;
  // The same for one and the same position of several sequences, made writable in turn: the last
  // owner of a block that they share keeps it.
  int32_t blocks_to_take(std::span<const SequenceBlocks* const> sequences, int32_t position) const;
  // Makes the positions [first, first + count) writable by this sequence alone: takes missing
  // blocks, copies shared ones. At least blocks_to_take() blocks must be available.
  void make_writable(SequenceBlocks& blocks, int32_t first, int32_t count,
                     std::vector<BlockCopy>& copies);
  // Drops the blocks that no query at `position` or later can see.
  void drop_outside_window(SequenceBlocks& blocks, int32_t position);
  // `to` (empty) gets everything `from` has, shared.
  void fork(const SequenceBlocks& from, SequenceBlocks& to);
  void release(SequenceBlocks& blocks);  // tails before heads; leaves empty tables

  // Enters the full blocks of the first `count` tokens, whose K and V are written or planned to be.
  void index_blocks(SequenceBlocks& blocks, std::span<const TokenId> tokens,
                    std::string_view extra_key, int32_t count);
  // The sequence goes back to `count` computed tokens: later blocks of it are not looked up again.
  void unindex_after(SequenceBlocks& blocks, int32_t count);

  void begin_step();
  void end_step();

  void drain_new_extents(std::vector<ExtentId>& out) { pool_.drain_new_extents(out); }
  // Forgets all cached blocks and returns the extents without content, whose memory may be given
  // back. No step may be in flight.
  std::vector<ExtentId> release_idle();

  // The first breach in counts, lists or tables; `live` are the blocks of every sequence. For
  // tests: O(all).
  std::optional<std::string> check_integrity(std::span<const SequenceBlocks* const> live) const;

 private:
  int32_t block_size() const { return config_.block_size; }
  template <class Visit>
  void visit_match(const PrefixMatch& match, Visit visit) const;
  BlockId take();
  void drop_owner(BlockId block);

  KvConfig config_;
  BlockPool pool_;
  PrefixIndex index_;
  std::deque<std::vector<BlockId>> held_;  // per step in flight, oldest first: released at its end
  std::vector<BlockId> copied_;            // sources of copies that the next step to begin performs
  std::vector<std::vector<BlockId>> spare_;
  std::vector<int32_t> run_;  // scratch of match(): per group, present blocks that end here
  int64_t evictions_ = 0;
  int64_t copies_ = 0;
};

}  // namespace octavo
