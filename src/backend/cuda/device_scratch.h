// Scratch memory on the device: taken from the front of one range of addresses, given back
// together.
//
// The same sequence of takes gives the same addresses every time, which is what lets a tape be
// replayed. Memory is committed as the range is first used and kept until the end.
// Thread safety: one thread.
#pragma once

#include "backend/cuda/device_memory.h"

namespace octavo::cuda {

class DeviceScratch {
 public:
  static Result<DeviceScratch> create();

  // `count` uninitialised values at a multiple of 256 bytes. Stops the process when the device has
  // no memory left: the KV store leaves room (cuda_kv_store.h).
  template <class T>
  T* take(size_t count) {
    return reinterpret_cast<T*>(take_bytes(count * sizeof(T)));
  }
  void reset() { used_ = 0; }
  // For giving back what is taken from now on: reset_to(used()).
  size_t used() const { return used_; }
  void reset_to(size_t used) { used_ = used; }

 private:
  explicit DeviceScratch(ReservedMemory memory) : memory_(std::move(memory)) {}
  std::byte* take_bytes(size_t bytes);

  ReservedMemory memory_;
  size_t used_ = 0;
};

}  // namespace octavo::cuda
