#include "backend/create_backend.h"

#include <sched.h>

#include <algorithm>

#include "backend/cpu/cpu_backend.h"
#include "base/error.h"

namespace octavo {
namespace {

// Processors this process may use: fewer than the machine has, in a container or under taskset.
int usable_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

}  // namespace

Result<std::unique_ptr<Backend>> create_backend(const BackendOptions& options) {
  if (options.device != "cpu") {
    return unsupported("device: '{}' is not one of cpu", printable(options.device));
  }
  const int threads = options.threads > 0 ? options.threads : usable_processors();
  OCTAVO_ASSIGN(auto backend,
                cpu::CpuBackend::create({.threads = threads, .isa = options.instruction_set}));
  return std::unique_ptr<Backend>(std::move(backend));
}

}  // namespace octavo
