// The flat arrays of a step in device memory, at addresses that do not change from step to step.
//
// They go through pinned memory, so that the host does not wait for the copies. Thread safety: one
// thread.
#pragma once

#include <cuda_runtime_api.h>

#include <cstring>
#include <span>
#include <vector>

#include "backend/cuda/device_memory.h"

namespace octavo::cuda {

class StepArrays {
 public:
  // Array i of a step has its own range of addresses, for as many values as were ever wanted of it.
  explicit StepArrays(cudaStream_t stream) : stream_(stream) {}

  // Begins a step. The copies of the last one must be over.
  void begin_step() {
    staged_ = 0;
    retired_.clear();
  }

  // Sends `values` to the place of array `index` and gives its address, at a multiple of 256 bytes.
  const int32_t* send(size_t index, std::span<const int32_t> values);

 private:
  cudaStream_t stream_;
  std::vector<DeviceBuffer> arrays_;
  std::vector<PinnedBuffer> retired_;  // outgrown, perhaps still being copied from
  PinnedBuffer staging_;
  size_t staged_ = 0;  // bytes
};

}  // namespace octavo::cuda
