#include "backend/cpu/scratch.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>

#include "base/check.h"

namespace octavo::cpu {
namespace {

constexpr size_t kSmallestChunk = size_t{1} << 20;

size_t round_up(size_t bytes, size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

}  // namespace

ScratchArena::~ScratchArena() {
  unmap_all();
}

std::byte* ScratchArena::take(size_t bytes) {
  bytes = round_up(bytes, kAlignment);
  if (chunks_.empty() || chunks_.back().bytes - used_in_last_ < bytes) {
    // Each chunk is as large as all before it, so that a step needs few of them.
    add_chunk(std::max(bytes, mapped_bytes()));
  }
  std::byte* start = chunks_.back().data + used_in_last_;
  used_in_last_ += bytes;
  return start;
}

void ScratchArena::reset() {
  const size_t used = used_in_full_ + used_in_last_;
  recent_use_ = std::max(used, recent_use_ - recent_use_ / 8);
  const bool far_too_large = mapped_bytes() > 4 * recent_use_ + kSmallestChunk;
  if (chunks_.size() > 1 || far_too_large) {
    unmap_all();
    if (recent_use_ > 0) add_chunk(recent_use_);
  }
  used_in_last_ = 0;
  used_in_full_ = 0;
}

size_t ScratchArena::mapped_bytes() const {
  size_t total = 0;
  for (const Chunk& chunk : chunks_) total += chunk.bytes;
  return total;
}

void ScratchArena::add_chunk(size_t bytes) {
  bytes = round_up(std::max(bytes, kSmallestChunk), kSmallestChunk);
  // Mapped rather than allocated: giving it back then really shrinks the process.
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) throw std::bad_alloc();
  used_in_full_ += used_in_last_;
  used_in_last_ = 0;
  chunks_.push_back({static_cast<std::byte*>(data), bytes});
}

void ScratchArena::unmap_all() {
  for (const Chunk& chunk : chunks_) {
    OCTAVO_CHECK(munmap(chunk.data, chunk.bytes) == 0, "munmap of {} bytes", chunk.bytes);
  }
  chunks_.clear();
}

}  // namespace octavo::cpu
