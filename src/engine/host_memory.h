// The memory of the host tier: room for a number of blocks, taken page by page as it is written.
//
// Owns the memory; who has which slot is the KvCache's affair. Engine thread only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "octavo/result.h"

namespace octavo {

class HostMemory {
 public:
  // Reserves addresses, not memory. 0 slots: none.
  static Result<HostMemory> reserve(int64_t slots, int64_t block_bytes);
  HostMemory(HostMemory&& other) noexcept;
  HostMemory& operator=(HostMemory&&) = delete;
  ~HostMemory();

  // Gives all of it back to the system; what the slots held is lost.
  void release();

  std::byte* data() const { return memory_; }  // slot s begins s * block_bytes after it
  std::byte* slot(int64_t slot) const { return memory_ + slot * block_bytes_; }
  int64_t block_bytes() const { return block_bytes_; }

 private:
  HostMemory(std::byte* memory, size_t bytes, int64_t block_bytes)
      : memory_(memory), bytes_(bytes), block_bytes_(block_bytes) {}

  std::byte* memory_;
  size_t bytes_;
  int64_t block_bytes_;
};

}  // namespace octavo
