// KvCache: the pool, the prefix index, the host tier and the block tables, changed together so that
// they agree.
//
// Bookkeeping only: no tensor, no clock, no thread. It owns pool, index and tier; the tables belong
// to the sequences and are passed in. All tables of a sequence cover the same positions.
//
// What the memory must do about a change (copies, swaps) is collected and handed out by
// drain_moves(), for the step that is being planned.
//
// Host tier: a cached block that is evicted moves to a slot of the host's memory and stays in the
// prefix index. A prefix hit brings it back into a block; its slot keeps a copy until the tier
// needs the room.
//
// Steps: between begin_step() and end_step() a step that was planned may still read and write
// blocks. A block whose last owner leaves in that time is held until the newest step begun is over.
// Steps end in the order in which they began.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kv/block_pool.h"
#include "kv/block_table.h"
#include "kv/group.h"
#include "kv/host_tier.h"
#include "kv/prefix_index.h"
#include "octavo/cache_snapshot.h"

namespace octavo {

struct KvConfig {
  int32_t block_size = 16;
  std::vector<GroupSpec> groups = {GroupSpec{}};
  int32_t max_blocks = 0;
  int64_t block_bytes = 0;     // for what errors say; 0: unknown
  int32_t extent_blocks = 64;  // granularity in which memory is committed and given back
  bool prefix_cache = true;    // whether others find what a request computed: with the Scheduler
  ContentHash hash = xxh3_hash;
  int32_t host_blocks = 0;     // slots of the host tier
  bool report_spills = false;  // whether somebody wants what the host tier drops
};

// What a block of the pool, or else a slot of the host tier, holds: all that names it.
struct BlockContent {
  BlockId block = kNoBlock;
  HostSlot host_slot = kNoSlot;
  int32_t group = 0;
  std::vector<TokenId> tokens;  // from the sequence's first to the block's last
  std::string extra_key;
};

// What happens to the memory before a step, in this order: spills may be read, swap_out, swap_in,
// copies (all sources are read before the step writes anything; no block is both a source and a
// destination).
struct BlockMoves {
  std::vector<BlockContent> spills;  // what the host tier drops: in its slots until the swaps
  std::vector<BlockSwap> swap_out;   // from block to host slot
  std::vector<BlockSwap> swap_in;    // from host slot to block
  std::vector<BlockCopy> copies;
};

// The longest prefix of some tokens that the cache holds: full blocks, and perhaps some tokens of
// one more. The blocks that adopting it takes or puts to use are counted for both.
struct PrefixMatch {
  struct Blocks {
    int32_t idle = 0;   // cached blocks that nobody uses now
    int32_t taken = 0;  // blocks to take: for content in the host tier, and for copies
  };
  int32_t blocks = 0;           // full blocks found
  EntryId last = kNoEntry;      // describes the last of them; the key's root when there are none
  int32_t physical_blocks = 0;  // blocks of the pool that will be shared, over all groups
  Blocks full;

  int32_t partial_tokens = 0;  // of the block after the last full one
  EntryId partial = kNoEntry;  // describes that block
  Blocks tail;

  int32_t needed() const { return full.idle + full.taken + tail.idle + tail.taken; }
  void drop_partial() {
    partial_tokens = 0;
    partial = kNoEntry;
    tail = {};
  }
};

// What becomes of the content of blocks that their last owner leaves. They stay cached until their
// room is needed.
enum class Afterlife : uint8_t {
  offloaded,  // then it goes to the host tier, if there is one
  cached,     // then it is forgotten
};

// A sequence's blocks and how many of its tokens are computed, once the planned steps have run.
struct LiveBlocks {
  const SequenceBlocks* blocks = nullptr;
  int32_t computed = 0;
};

class KvCache {
 public:
  // `source`: of the memory behind the pool's extents (block_pool.h).
  explicit KvCache(KvConfig config, ExtentSource source = {});

  const KvConfig& config() const { return config_; }
  const PoolCounts& counts() const { return pool_.counts(); }
  // How many blocks secure() could find, and whether that is few because memory was refused.
  int32_t available() const { return pool_.available(); }
  bool is_short() const { return pool_.is_short(); }
  int64_t evictions() const { return evictions_; }
  int64_t copies() const { return copies_; }
  int64_t swapped_out() const { return swapped_out_; }  // blocks
  int64_t swapped_in() const { return swapped_in_; }
  int32_t host_slots_used() const { return host_.used(); }

  // The most blocks that a sequence of `length` tokens owns at once when it is computed in chunks
  // of `q_len` tokens.
  int64_t peak_blocks(int64_t length, int64_t q_len) const;

  // The same for `sequences` that forked from one of `shared` tokens and grew to `length` each.
  int64_t peak_blocks_of_forks(int64_t length, int64_t shared, int64_t sequences) const;

  // The longest usable prefix, which ends at most one token before the tokens' end: every block in
  // global groups, the last window's blocks in windowed ones. A block of which only the first
  // tokens agree is usable once an earlier step has written it. O(blocks matched).
  PrefixMatch match(std::span<const TokenId> tokens, std::string_view extra_key);
  // Gives empty tables the blocks of a match made just before, with that key, which must be
  // secured. The partial block's content comes into a block of the sequence's own.
  void adopt(SequenceBlocks& blocks, const PrefixMatch& match, std::string_view extra_key);

  // Makes so many blocks there to take: what make_writable() and adopt() do afterwards. False:
  // there are not so many.
  bool secure(int32_t count) { return pool_.secure(count); }
  // The same for a match to adopt and `more` blocks after it.
  bool secure(const PrefixMatch& match, int32_t more) {
    return pool_.secure(match.full.taken + match.tail.taken + more,
                        match.full.idle + match.tail.idle);
  }

  static int32_t held_blocks(const SequenceBlocks& blocks);  // over all groups

  // Of what every token calls, the part that most tokens need is inline.

  // How many blocks make_writable() would take.
  int32_t blocks_to_take(const SequenceBlocks& blocks, int32_t first, int32_t count) const {
    return first + count <= blocks.writable_end ? 0 : count_blocks_to_take(blocks, first, count);
  }
  // The same for one and the same position of several sequences, made writable in turn: the last
  // owner of a block that they share keeps it.
  int32_t blocks_to_take(std::span<const SequenceBlocks* const> sequences, int32_t position) const;
  // Makes the positions [first, first + count) writable by this sequence alone: takes missing
  // blocks, copies shared ones. blocks_to_take() blocks must be secured.
  void make_writable(SequenceBlocks& blocks, int32_t first, int32_t count) {
    blocks.written_by = planned_step();
    if (first + count > blocks.writable_end) make_blocks_writable(blocks, first, count);
  }
  // A hint that `position` is computed soon. Changes nothing.
  void prefetch(const SequenceBlocks& blocks, std::span<const TokenId> tokens,
                int32_t position) const {
    if (position + 1 >= blocks.writable_end) prefetch_ends(blocks, tokens);
  }
  // Drops the blocks that no query at `position` or later can see.
  void drop_outside_window(SequenceBlocks& blocks, int32_t position) {
    if (position >= blocks.next_drop) drop_blocks(blocks, position);
  }
  // `to` (empty) gets everything `from` has, shared.
  void fork(SequenceBlocks& from, SequenceBlocks& to);
  // Tails before heads; leaves empty tables.
  void release(SequenceBlocks& blocks, Afterlife afterlife = Afterlife::offloaded);

  // Enters the full blocks of the first `count` tokens, whose K and V are written or planned to be.
  void index_blocks(SequenceBlocks& blocks, std::span<const TokenId> tokens, int32_t count);
  // Before a release: enters the block in which the first `count` tokens end, too, if it is not
  // full.
  void index_tail(SequenceBlocks& blocks, std::span<const TokenId> tokens, int32_t count);
  // The sequence goes back to `count` computed tokens: the blocks after them may be written again.
  void unindex_after(SequenceBlocks& blocks, int32_t count);
  // Forgets what the pool's blocks hold under an extra key whose sequences have all been released.
  // Copies in the host tier, which nobody will ask for, go as the least recently used ones.
  void forget_key(std::string_view extra_key);

  // Content from elsewhere: a slot of the host tier for the last block of `tokens` (whole blocks,
  // or fewer tokens in the last). The caller fills it before the next plan; what the slot held is
  // forgotten without a spill. kNoSlot when the content is known already or there is no room.
  HostSlot offer_host_block(std::span<const TokenId> tokens, std::string_view extra_key,
                            int32_t group);

  // Calls `visit` for everything that pool and host tier hold, heads of prefixes before their
  // tails, until it returns false. No step may be in flight. O(all).
  void visit_contents(const std::function<bool(const BlockContent&)>& visit) const;

  void set_time(int64_t now_ms) { pool_.set_time(now_ms); }
  void begin_step();
  void end_step();

  void drain_moves(BlockMoves& out);
  // Forgets all cached blocks and all of the host tier, and returns the extents without content;
  // their memory and the host tier's may be given back. No step may be in flight.
  std::vector<ExtentId> release_idle();

  // What every committed block holds and for whom; `live` are all sequences that hold blocks, in
  // the order of the snapshot's `sequences`, which are the caller's to fill.
  CacheSnapshot snapshot(std::span<const LiveBlocks> live) const;

  // The first breach in counts, lists or tables; `live` are the blocks of every sequence. For
  // tests: O(all).
  std::optional<std::string> check_integrity(std::span<const SequenceBlocks* const> live) const;
  // The same for what the tables alone do not say: `computed` is the position computed next.
  std::optional<std::string> check_shortcuts(const SequenceBlocks& blocks, int32_t computed) const;

 private:
  // Of a block that stands for an entry's content.
  struct Content {
    uint64_t written_by = 0;  // no later step wrote it
    uint64_t left_after = 0;  // the newest step when the last owner left
    bool offload = true;      // whether it is worth a place in the host tier
  };

  int32_t block_size() const { return config_.block_size; }
  uint64_t planned_step() const { return begun_ + 1; }  // the number of the step being planned
  Content& content(BlockId block);

  bool present(EntryId entry, int32_t group) const;
  void match_partial(std::span<const TokenId> rest, PrefixMatch& match) const;
  bool readable(EntryId entry) const;
  template <class Visit>
  void visit_match(const PrefixMatch& match, Visit visit) const;
  void attach(EntryId entry, int32_t group, BlockId block, uint64_t written_by);
  void attach_tables(EntryId entry, const SequenceBlocks& blocks, int32_t index);
  void adopt_partial(SequenceBlocks& blocks, const PrefixMatch& match);

  int64_t most_in_window(const GroupSpec& group, int64_t q_len) const;
  int32_t count_blocks_to_take(const SequenceBlocks& blocks, int32_t first, int32_t count) const;
  void make_blocks_writable(SequenceBlocks& blocks, int32_t first, int32_t count);
  void prefetch_ends(const SequenceBlocks& blocks, std::span<const TokenId> tokens) const;
  void drop_blocks(SequenceBlocks& blocks, int32_t position);
  BlockId take();
  BlockId take_copy(int32_t group, BlockId source);
  BlockId take_from_host(HostSlot slot);
  void offload(BlockId block);
  HostSlot take_host_slot(EntryId entry, int32_t group, bool report_spill);
  void hold_source(BlockId block);
  void drop_owner(BlockId block, const Retention& retention);
  void forget(BlockId block);

  BlockSnapshot snapshot_block(BlockId block) const;
  std::optional<std::string> check_tables(std::span<const SequenceBlocks* const> live) const;
  std::optional<std::string> check_host() const;

  KvConfig config_;
  BlockPool pool_;
  PrefixIndex index_;
  HostTier host_;
  uint64_t begun_ = 0;  // steps
  uint64_t ended_ = 0;
  std::vector<Content> contents_;          // by BlockId
  BlockMoves moves_;                       // since the last drain_moves()
  std::deque<std::vector<BlockId>> held_;  // per step in flight, oldest first: released at its end
  std::vector<BlockId> copied_;            // sources of copies that the next step to begin performs
  std::vector<std::vector<BlockId>> spare_;
  std::vector<int32_t> run_;  // scratch of match(): per windowed group, present blocks to here
  int64_t evictions_ = 0;
  int64_t copies_ = 0;
  int64_t swapped_out_ = 0;
  int64_t swapped_in_ = 0;
};

}  // namespace octavo
