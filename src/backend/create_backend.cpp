#include "backend/create_backend.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "backend/cpu/cpu_backend.h"
#include "backend/cuda/create_cuda_backend.h"
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

constexpr int kCpu = -1;

// The number of a GPU, or kCpu.
Result<int> parse_device(const std::string& device) {
  if (device == "cpu") return kCpu;
  if (device == "auto") return cuda::device_count() > 0 ? 0 : kCpu;
  if (device == "cuda") return 0;
  constexpr std::string_view kPrefix = "cuda:";
  if (device.starts_with(kPrefix)) {
    const char* first = device.data() + kPrefix.size();
    const char* last = device.data() + device.size();
    int number = 0;
    const auto [end, error] = std::from_chars(first, last, number);
    if (error == std::errc() && end == last && number >= 0) return number;
  }
  return unsupported("device: '{}' is not one of cpu, cuda, cuda:N, auto", printable(device));
}

}  // namespace

Result<std::unique_ptr<Backend>> create_backend(const BackendOptions& options) {
  OCTAVO_ASSIGN(const int device, parse_device(options.device));
  const int threads = options.threads > 0 ? options.threads : usable_processors();
  if (device != kCpu) {
    return cuda::create_cuda_backend(
        {.device = device, .threads = threads, .deterministic = options.deterministic});
  }
  OCTAVO_ASSIGN(auto backend,
                cpu::CpuBackend::create({.threads = threads, .isa = options.instruction_set}));
  return std::unique_ptr<Backend>(std::move(backend));
}

std::string arithmetic_mode(const BackendOptions& options) {
  const Result<int> device = parse_device(options.device);
  if (!device || device.value() == kCpu) return "cpu";
  return fmt::format("cuda, {}{}", cuda::device_name(device.value()),
                     options.deterministic ? ", deterministic" : "");
}

std::optional<DeviceMemory> device_memory(const std::string& device) {
  const Result<int> number = parse_device(device);
  if (!number || number.value() == kCpu) return std::nullopt;
  const cuda::GpuMemory memory = cuda::gpu_memory(number.value());
  return DeviceMemory{.free = memory.free, .total = memory.total, .scratch = cuda::kScratchReserve};
}

int64_t default_kv_limit(const std::string& device, int64_t step_bytes) {
  if (const std::optional<DeviceMemory> memory = device_memory(device)) {
    return std::max<int64_t>(memory->free - std::max(memory->scratch, step_bytes), 0);
  }
  return static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE) / 2;
}

}  // namespace octavo
