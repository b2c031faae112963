#include "backend/cuda/device_scratch.h"

#include "base/check.h"

namespace octavo::cuda {
namespace {

constexpr size_t kAlignment = 256;
constexpr size_t kExtentBytes = size_t{32} << 20;

}  // namespace

Result<DeviceScratch> DeviceScratch::create() {
  // Addresses cost nothing; more than the whole memory is never needed.
  OCTAVO_ASSIGN(ReservedMemory memory, ReservedMemory::create(device_memory().total, kExtentBytes));
  return DeviceScratch(std::move(memory));
}

std::byte* DeviceScratch::take_bytes(size_t bytes) {
  const size_t first = used_;
  used_ = (first + bytes + kAlignment - 1) / kAlignment * kAlignment;
  OCTAVO_CHECK(used_ <= memory_.bytes(), "{} bytes of scratch memory", used_);
  const Result<void> committed = memory_.commit(first, used_);
  OCTAVO_CHECK(committed.ok(), "scratch memory: {}", committed.error().message);
  return memory_.data() + first;
}

}  // namespace octavo::cuda
