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
  while (mark_.chunk < chunks_.size() && chunks_[mark_.chunk].bytes - mark_.used < bytes) {
    mark_ = {mark_.chunk + 1, 0};
  }
  // A new chunk is as large as all before it, so that a step needs few of them.
  if (mark_.chunk == chunks_.size()) add_chunk(std::max(bytes, mapped_bytes()));
  std::byte* start = chunks_[mark_.chunk].data + mark_.used;
  mark_.used += bytes;
  step_use_ = std::max(step_use_, bytes_before(mark_.chunk) + mark_.used);
  return start;
}

void ScratchArena::reset() {
  recent_use_ = std::max(step_use_, recent_use_ - recent_use_ / 8);
  const bool far_too_large = mapped_bytes() > 4 * recent_use_ + kSmallestChunk;
  if (chunks_.size() > 1 || far_too_large) {
    unmap_all();
    if (recent_use_ > 0) add_chunk(recent_use_);
  }
  mark_ = {};
  step_use_ = 0;
}

size_t ScratchArena::mapped_bytes() const {
  return bytes_before(chunks_.size());
}

size_t ScratchArena::bytes_before(size_t chunk) const {
  size_t total = 0;
  for (size_t i = 0; i < chunk; ++i) total += chunks_[i].bytes;
  return total;
}

void ScratchArena::add_chunk(size_t bytes) {
  bytes = round_up(std::max(bytes, kSmallestChunk), kSmallestChunk);
  // Mapped rather than allocated: giving it back then really shrinks the process.
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) throw std::bad_alloc();
  chunks_.push_back({static_cast<std::byte*>(data), bytes});
}

void ScratchArena::unmap_all() {
  for (const Chunk& chunk : chunks_) {
    OCTAVO_CHECK(munmap(chunk.data, chunk.bytes) == 0, "munmap of {} bytes", chunk.bytes);
  }
  chunks_.clear();
}

}  // namespace octavo::cpu
