// The KV cache at one moment, block by block: what a program draws or prints for people.
//
// Copies that refer to nothing. Engine::cache_snapshot() makes one in time linear in the committed
// blocks: right a few times a second, too slow for every step.
#pragma once

#include <cstdint>
#include <vector>

namespace octavo {

enum class BlockState : uint8_t { free, cached, in_use };

struct BlockSnapshot {
  int32_t block = -1;
  BlockState state = BlockState::free;
  int32_t group = -1;  // the KV group; -1: the block holds nothing
  int32_t tokens = 0;  // slots that are filled, or will be by the steps planned so far
  // The sequences whose tables hold the block, as indices into CacheSnapshot::sequences; ascending.
  // None in use: a step in flight still reads or writes it.
  std::vector<int32_t> owners;
  uint64_t content_hash = 0;  // of everything up to the block's end; 0: the prefix index has none
  int64_t idle_steps = 0;     // begun since the last owner of a cached block left
  bool in_host_tier = false;  // a slot there has the same content
};

// A sequence that runs: one output of a request, or one beam.
struct SequenceSnapshot {
  int32_t sequence = -1;  // names it while it runs
  uint64_t request = 0;   // outputs of one request have it in common
  int32_t output_index = 0;
  int32_t prompt_tokens = 0;
  int32_t generated_tokens = 0;
  int32_t computed_tokens = 0;  // whose K and V are in the cache, once the planned steps ran
};

struct CacheSnapshot {
  int32_t block_size = 0;  // slots of a block
  // uncommitted + free + cached + in use = total
  int32_t blocks_total = 0;
  int32_t blocks_uncommitted = 0;  // not backed by memory
  int32_t blocks_free = 0;
  int32_t blocks_cached = 0;
  int32_t blocks_in_use = 0;
  int32_t blocks_shared = 0;  // of those in use, by two sequences or more
  int32_t host_slots = 0;     // of the host tier, in blocks
  int32_t host_slots_used = 0;
  int64_t owned_slots = 0;            // of blocks with owners, each block counted once
  int64_t filled_slots = 0;           // of those
  int64_t saved_blocks = 0;           // that would be needed besides if no two sequences shared
  std::vector<BlockSnapshot> blocks;  // the committed ones, ascending
  std::vector<SequenceSnapshot> sequences;

  int64_t wasted_slots() const { return owned_slots - filled_slots; }
};

}  // namespace octavo
