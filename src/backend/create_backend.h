// Makes the backend of a device by its name: the one place that knows them all.
#pragma once

#include <memory>
#include <string>

#include "backend/backend.h"

namespace octavo {

struct BackendOptions {
  std::string device = "cpu";
  std::string instruction_set;  // of the CPU; empty: the best this machine has
  int threads = 0;              // 0: one per processor this process may use
};

// Errors: an unknown device or instruction set, with the list of those that exist here.
Result<std::unique_ptr<Backend>> create_backend(const BackendOptions& options);

}  // namespace octavo
