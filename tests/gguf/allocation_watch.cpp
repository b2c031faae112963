#include "gguf/allocation_watch.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace {
thread_local size_t largest_allocation_bytes = 0;
}  // namespace

// Replaces the whole test program's operator new. Kept apart from the code that uses it, because
// g++ warns of a mismatch where it sees only one of the two inlined.
void* operator new(size_t bytes) {
  largest_allocation_bytes = std::max(largest_allocation_bytes, bytes);
  void* memory = std::malloc(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}

namespace octavo::allocation_watch {

void reset() {
  largest_allocation_bytes = 0;
}
size_t largest_bytes() {
  return largest_allocation_bytes;
}

}  // namespace octavo::allocation_watch
