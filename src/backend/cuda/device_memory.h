// Memory of the current device: a buffer, and a range of addresses that is filled as it is used.
//
// Thread safety: one thread at a time.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "backend/cuda/driver.h"
#include "octavo/result.h"

namespace octavo::cuda {

// Owns bytes of device memory.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  // Errors: not enough memory; the message has both sizes, `what` says what for.
  static Result<DeviceBuffer> create(size_t bytes, std::string_view what);
  ~DeviceBuffer();
  DeviceBuffer(DeviceBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

// Owns host memory that the device can copy from and to while the host goes on.
class PinnedBuffer {
 public:
  PinnedBuffer() = default;
  static Result<PinnedBuffer> create(size_t bytes);
  ~PinnedBuffer();
  PinnedBuffer(PinnedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  PinnedBuffer& operator=(PinnedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

// A range of device addresses whose memory is taken in extents of extent_bytes() when commit() asks
// for a part, and given back by release(). Addresses never change.
class ReservedMemory {
 public:
  // Errors: the driver lacks virtual memory, or addresses.
  static Result<ReservedMemory> create(size_t bytes, size_t least_extent);
  ~ReservedMemory();
  ReservedMemory(ReservedMemory&& other) noexcept;
  ReservedMemory& operator=(ReservedMemory&&) = delete;

  std::byte* data() const { return std::bit_cast<std::byte*>(address_); }
  size_t bytes() const { return bytes_; }
  size_t extent_bytes() const { return extent_bytes_; }
  size_t committed_bytes() const { return committed_ * extent_bytes_; }

  // Makes [first, last) usable. Errors: the device has no memory left.
  Result<void> commit(size_t first, size_t last);
  // Gives back the extents that lie wholly inside [first, last).
  void release(size_t first, size_t last);

 private:
  ReservedMemory() = default;
  void unmap(size_t extent);

  const Driver* driver_ = nullptr;
  CUdeviceptr address_ = 0;
  size_t bytes_ = 0;
  size_t extent_bytes_ = 0;
  size_t committed_ = 0;  // extents
  int device_ = 0;
  std::vector<CUmemGenericAllocationHandle> extents_;  // 0: not committed
};

// Bytes that the current device has free, and has at all.
struct DeviceMemoryInfo {
  size_t free = 0;
  size_t total = 0;
};
DeviceMemoryInfo device_memory();

}  // namespace octavo::cuda
