#include "engine/host_memory.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/error.h"

namespace octavo {

Result<HostMemory> HostMemory::reserve(int64_t slots, int64_t block_bytes) {
  if (slots == 0) return HostMemory(nullptr, 0, block_bytes);
  const auto bytes = static_cast<size_t>(slots * block_bytes);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return resource_error("kv-host-memory: cannot reserve {} bytes: {}", bytes,
                          std::strerror(errno));
  }
  return HostMemory(static_cast<std::byte*>(memory), bytes, block_bytes);
}

HostMemory::HostMemory(HostMemory&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)),
      bytes_(other.bytes_),
      block_bytes_(other.block_bytes_) {}

HostMemory::~HostMemory() {
  if (memory_ != nullptr) OCTAVO_CHECK(munmap(memory_, bytes_) == 0, "munmap of {} bytes", bytes_);
}

void HostMemory::release() {
  if (memory_ == nullptr) return;
  const int result = madvise(memory_, bytes_, MADV_DONTNEED);
  OCTAVO_CHECK(result == 0, "madvise: {}", std::strerror(errno));
}

}  // namespace octavo
