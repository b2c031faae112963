// Memory for the activations of one step: taken by moving a pointer, given back all at once, or
// earlier in the reverse order of taking (ScratchScope).
//
// Ownership: the arena owns the chunks it mapped; what take() gave is valid until the next reset()
// or the end of the scope it was taken in. What stays mapped between steps follows the recent use:
// after a long prompt the memory goes back to the system while short steps run. Thread safety: one
// thread (the engine's).
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

  // Ends the step: everything that was taken is given back.
  void reset();

  size_t mapped_bytes() const;

 private:
  friend class ScratchScope;

  struct Chunk {
    std::byte* data;
    size_t bytes;
  };
  // How far the chunks are filled: those before `chunk` wholly, it up to `used`.
  struct Mark {
    size_t chunk = 0;
    size_t used = 0;
  };

  void add_chunk(size_t bytes);
  void unmap_all();
  size_t bytes_before(size_t chunk) const;

  std::vector<Chunk> chunks_;
  Mark mark_;
  size_t step_use_ = 0;    // the most that was in use at a time since the last reset
  size_t recent_use_ = 0;  // the same of recent steps; fades over steps that use less
};

// Gives back at its end what was taken since its beginning.
class ScratchScope {
 public:
  explicit ScratchScope(ScratchArena& arena) : arena_(arena), mark_(arena.mark_) {}
  ~ScratchScope() { arena_.mark_ = mark_; }
  ScratchScope(const ScratchScope&) = delete;
  ScratchScope& operator=(const ScratchScope&) = delete;

 private:
  ScratchArena& arena_;
  ScratchArena::Mark mark_;
};

}  // namespace octavo::cpu
