// Memory for the activations of one step: taken by moving a pointer, given back all at once.
//
// Ownership: the arena owns the chunks it mapped; what take() gave is valid until the next reset().
// What stays mapped between steps follows the recent use: after a long prompt the memory goes back
// to the system while short steps run. Thread safety: one thread (the engine's).
#pragma once

#include <cstddef>
#include <vector>

namespace octavo::cpu {

class ScratchArena {
 public:
  static constexpr size_t kAlignment = 64;  // a cache line, and the widest vector

  ScratchArena() = default;
  ~ScratchArena();
  ScratchArena(const ScratchArena&) = delete;
  ScratchArena& operator=(const ScratchArena&) = delete;

  // `bytes` uninitialised bytes, aligned to kAlignment.
  std::byte* take(size_t bytes);
  template <class T>
  T* take_array(size_t count) {
    static_assert(alignof(T) <= kAlignment);
    return reinterpret_cast<T*>(take(count * sizeof(T)));
  }

  void reset();

  size_t mapped_bytes() const;

 private:
  struct Chunk {
    std::byte* data;
    size_t bytes;
  };

  void add_chunk(size_t bytes);
  void unmap_all();

  std::vector<Chunk> chunks_;  // the last one is being filled, the ones before it are full
  size_t used_in_last_ = 0;
  size_t used_in_full_ = 0;
  size_t recent_use_ = 0;  // bytes a step used lately; fades over steps that use less
};

}  // namespace octavo::cpu
