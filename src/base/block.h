// The words that bookkeeping (kv/) and memory (backend/) share about blocks of the KV cache.
#pragma once

#include <cstdint>

namespace octavo {

using BlockId = int32_t;  // 0 .. blocks in the pool - 1

// A table entry without a block: the positions fell out of the KV group's window.
inline constexpr BlockId kNoBlock = -1;

using HostSlot = int32_t;  // 0 .. slots of the host tier - 1
inline constexpr HostSlot kNoSlot = -1;

// A whole block that moves between the pool's memory and the host tier's, before the step.
struct BlockSwap {
  BlockId block = kNoBlock;
  HostSlot host_slot = kNoSlot;
};

// A block to copy before the step, so that its new owner may write into the copy.
struct BlockCopy {
  int32_t group = 0;  // KV group whose layers the block holds
  BlockId from = kNoBlock;
  BlockId to = kNoBlock;
};

}  // namespace octavo
