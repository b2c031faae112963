// KvSnapshot: the KV cache at one moment, block by block, for people: figures, pages, debuggers.
//
// A copy that refers to nothing. KvCache::snapshot() makes it, in time linear in the committed
// blocks; it is too slow for every step.
#pragma once

#include <cstdint>
#include <vector>

#include "kv/block_pool.h"

namespace octavo {

enum class BlockState : uint8_t { free, cached, in_use };

struct BlockSnapshot {
  BlockId block = kNoBlock;
  BlockState state = BlockState::free;
  int32_t group = -1;  // -1: the block holds nothing
  int32_t tokens = 0;  // slots that are filled, or will be by the steps planned so far
  // The sequences whose tables hold the block, as indices into the list that the snapshot was made
  // of; ascending. None in use: a step in flight still reads or writes it.
  std::vector<int32_t> owners;
  uint64_t content_hash = 0;  // of everything up to the block's end; 0: the prefix index has none
  int64_t idle_steps = 0;     // begun since the last owner of a cached block left
  bool in_host_tier = false;  // a slot there has the same content
};

struct KvSnapshot {
  int32_t block_size = 0;
  PoolCounts counts;
  int32_t host_slots = 0;
  int32_t host_slots_used = 0;
  int64_t owned_slots = 0;            // of blocks with owners, each block counted once
  int64_t filled_slots = 0;           // of those
  int64_t saved_blocks = 0;           // that would be needed besides if no two sequences shared
  std::vector<BlockSnapshot> blocks;  // the committed ones, ascending

  int64_t wasted_slots() const { return owned_slots - filled_slots; }
};

}  // namespace octavo
