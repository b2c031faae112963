// The flat arrays of a step in device memory, at addresses that do not change from step to step
// until an array outgrows its room.
//
// They go through pinned memory, so that the host does not wait for the copies. Thread safety: one
// thread.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <cstring>
#include <span>
#include <vector>

#include "backend/cuda/device_memory.h"

namespace octavo::cuda {

class StepArrays {
 public:
  // Array i of a step has its own range of addresses, for as many values as were ever wanted of it.
  explicit StepArrays(cudaStream_t stream);
  ~StepArrays();
  StepArrays(const StepArrays&) = delete;
  StepArrays& operator=(const StepArrays&) = delete;

  // Begins a step. Waits until the step before the last has run; the last one may still.
  void begin_step();

  // Sends `values` to the place of array `index` and gives its address, at a multiple of 256 bytes.
  const int32_t* send(size_t index, std::span<const int32_t> values);

 private:
  // What the copies of a step are made from.
  struct Staging {
    PinnedBuffer buffer;
    std::vector<PinnedBuffer> retired;  // outgrown, perhaps still being copied from
    size_t used = 0;                    // bytes of `buffer`
    cudaEvent_t sent = nullptr;
  };

  cudaStream_t stream_;
  std::vector<DeviceBuffer> arrays_;
  std::array<Staging, 2> stagings_;
  size_t current_ = 0;
};

}  // namespace octavo::cuda
