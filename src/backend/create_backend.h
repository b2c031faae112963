// Makes the backend of a device by its name: the one place that knows them all.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "backend/backend.h"

namespace octavo {

struct BackendOptions {
  std::string device = "cpu";   // cpu, cuda, cuda:N, or auto: the first GPU if there is one
  std::string instruction_set;  // of the CPU; empty: the best this machine has
  int threads = 0;              // 0: one per processor this process may use
  bool deterministic = false;   // of a GPU: see CudaOptions; the CPU always is
};

// Errors: an unknown device or instruction set, with the list of those that exist here.
Result<std::unique_ptr<Backend>> create_backend(const BackendOptions& options);

// What the bits of keys and values depend on, beside program and model: "cpu", whose instruction
// sets all give the same, or a GPU's name and whether it is deterministic. Not what the device was
// called: two names may mean one, and auto another one tomorrow.
std::string arithmetic_mode(const BackendOptions& options);

// Bytes of a device that has memory of its own, now.
struct DeviceMemory {
  int64_t free = 0;
  int64_t total = 0;
  int64_t scratch = 0;  // of those that are free, what steps compute with
};
// None: the device uses the machine's memory.
std::optional<DeviceMemory> device_memory(const std::string& device);

// The most memory that the KV cache takes unless it is told otherwise: half of the machine's, or
// what is free on a GPU but for what steps compute with, at least `step_bytes`. Asked for once the
// weights are loaded.
int64_t default_kv_limit(const std::string& device, int64_t step_bytes);

}  // namespace octavo
