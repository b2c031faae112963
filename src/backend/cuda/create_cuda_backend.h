// Makes the backend of an NVIDIA GPU; without CUDA headers, for the factory that knows all
// backends.
//
// A program built without CUDA has these functions too (no_cuda.cpp): it sees no device.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "backend/backend.h"

namespace octavo::cuda {

struct CudaOptions {
  int device = 0;   // of device_count()
  int threads = 1;  // that fill the device's memory
  // Paths and splits chosen by the weights' shapes alone: a request's tokens do not depend on its
  // neighbours.
  bool deterministic = false;
};

// Devices that this machine has and this program can use.
int device_count();
std::string device_name(int device);  // the model: "NVIDIA H200"

// Errors: no such device, or one that is too old; a library that is missing.
Result<std::unique_ptr<Backend>> create_cuda_backend(const CudaOptions& options);

// Memory that weights, keys and values leave at least to the scratch memory of steps.
inline constexpr int64_t kScratchReserve = int64_t{2} << 30;

// Bytes of a device's memory now.
struct GpuMemory {
  int64_t free = 0;
  int64_t total = 0;
};
GpuMemory gpu_memory(int device);

// How many steps a backend made above has launched as a whole, as graphs recorded before; for
// tests.
int64_t replayed_steps(const Backend& backend);

}  // namespace octavo::cuda
