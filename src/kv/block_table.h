// BlockTable: a sequence's ordered block ids in one KV group; and SequenceBlocks: all its tables.
//
// Plain data that KvCache changes and everybody else reads. Each id in a table is one owner of the
// block in the pool.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kv/group.h"
#include "kv/prefix_index.h"

namespace octavo {

// Position p of the sequence lives in slot p % block_size of blocks[p / block_size]. The first
// `first_held` entries are kNoBlock: those positions fell out of the group's window.
struct BlockTable {
  std::vector<BlockId> blocks;
  int32_t first_held = 0;
};

struct SequenceBlocks {
  std::vector<BlockTable> tables;  // one per KV group

  // How far the sequence's content is known to the prefix index: `indexed` leading blocks, the last
  // of them described by `tip`; by the root of its extra key when there are none. `tip` is a
  // reference that keeps the whole chain alive. kNoEntry: the index knows nothing of the sequence.
  EntryId tip = kNoEntry;
  int32_t indexed = 0;

  // What most next tokens need, so that they need not look at the tables. No other sequence owns,
  // and the prefix index does not know, the blocks of the positions from the one computed next to
  // before `writable_end`. Below `next_drop`, no position drops a block out of a window.
  int32_t writable_end = 0;
  int32_t next_drop = 0;
  uint64_t written_by = 0;  // the newest step that writes one of the blocks

  Retention retention;  // asked for the sequence's blocks once they are cached
};

}  // namespace octavo
