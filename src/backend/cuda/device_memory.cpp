#include "backend/cuda/device_memory.h"

#include <algorithm>

#include "backend/cuda/check_cuda.h"
#include "base/error.h"

namespace octavo::cuda {
namespace {

size_t round_up(size_t value, size_t unit) {
  return (value + unit - 1) / unit * unit;
}

CUmemAllocationProp memory_on(int device) {
  CUmemAllocationProp properties = {};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  properties.location.id = device;
  return properties;
}

}  // namespace

DeviceMemoryInfo device_memory() {
  DeviceMemoryInfo info;
  OCTAVO_CUDA(cudaMemGetInfo(&info.free, &info.total));
  return info;
}

Result<DeviceBuffer> DeviceBuffer::create(size_t bytes, std::string_view what) {
  DeviceBuffer buffer;
  if (bytes == 0) return buffer;
  void* data = nullptr;
  const cudaError_t error = cudaMalloc(&data, bytes);
  if (error == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());  // it would be reported by the next check otherwise
    const DeviceMemoryInfo memory = device_memory();
    return resource_error("{}: {} bytes do not fit, the device has {} free of {}", what, bytes,
                          memory.free, memory.total);
  }
  OCTAVO_CUDA(error);
  buffer.data_ = static_cast<std::byte*>(data);
  buffer.bytes_ = bytes;
  return buffer;
}

DeviceBuffer::~DeviceBuffer() {
  if (data_ != nullptr) OCTAVO_CUDA(cudaFree(data_));
}

Result<PinnedBuffer> PinnedBuffer::create(size_t bytes) {
  PinnedBuffer buffer;
  void* data = nullptr;
  if (cudaMallocHost(&data, bytes) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return resource_error("CUDA: {} bytes of pinned host memory are not to be had", bytes);
  }
  buffer.data_ = static_cast<std::byte*>(data);
  buffer.bytes_ = bytes;
  return buffer;
}

PinnedBuffer::~PinnedBuffer() {
  if (data_ != nullptr) OCTAVO_CUDA(cudaFreeHost(data_));
}

Result<ReservedMemory> ReservedMemory::create(size_t bytes, size_t least_extent) {
  ReservedMemory memory;
  OCTAVO_ASSIGN(memory.driver_, load_driver());
  OCTAVO_CUDA(cudaGetDevice(&memory.device_));
  const CUmemAllocationProp properties = memory_on(memory.device_);
  size_t granularity = 0;
  CUresult result =
      memory.driver_->granularity(&granularity, &properties, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED);
  if (result != CUDA_SUCCESS) {
    return unsupported("CUDA: the device has no virtual memory: {}", memory.driver_->name(result));
  }
  memory.extent_bytes_ = round_up(std::max<size_t>(least_extent, 1), granularity);
  memory.bytes_ = round_up(std::max<size_t>(bytes, 1), memory.extent_bytes_);
  result = memory.driver_->address_reserve(&memory.address_, memory.bytes_, 0, 0, 0);
  if (result != CUDA_SUCCESS) {
    return resource_error("CUDA: cannot reserve {} bytes of addresses: {}", memory.bytes_,
                          memory.driver_->name(result));
  }
  memory.extents_.assign(memory.bytes_ / memory.extent_bytes_, 0);
  return memory;
}

ReservedMemory::ReservedMemory(ReservedMemory&& other) noexcept
    : driver_(other.driver_),
      address_(std::exchange(other.address_, 0)),
      bytes_(std::exchange(other.bytes_, 0)),
      extent_bytes_(other.extent_bytes_),
      committed_(std::exchange(other.committed_, 0)),
      device_(other.device_),
      extents_(std::move(other.extents_)) {}

ReservedMemory::~ReservedMemory() {
  if (address_ == 0) return;
  for (size_t extent = 0; extent < extents_.size(); ++extent) unmap(extent);
  const CUresult result = driver_->address_free(address_, bytes_);
  OCTAVO_CHECK(result == CUDA_SUCCESS, "cuMemAddressFree: {}", driver_->name(result));
}

Result<void> ReservedMemory::commit(size_t first, size_t last) {
  OCTAVO_CHECK(first <= last && last <= bytes_, "{} to {} of {}", first, last, bytes_);
  const CUmemAllocationProp properties = memory_on(device_);
  const CUmemAccessDesc access = {properties.location, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  for (size_t extent = first / extent_bytes_; extent * extent_bytes_ < last; ++extent) {
    if (extents_[extent] != 0) continue;
    CUmemGenericAllocationHandle handle = 0;
    CUresult result = driver_->create(&handle, extent_bytes_, &properties, 0);
    if (result != CUDA_SUCCESS) {
      return resource_error("CUDA: no memory for {} more bytes: {}", extent_bytes_,
                            driver_->name(result));
    }
    const CUdeviceptr at = address_ + extent * extent_bytes_;
    result = driver_->map(at, extent_bytes_, 0, handle, 0);
    OCTAVO_CHECK(result == CUDA_SUCCESS, "cuMemMap: {}", driver_->name(result));
    extents_[extent] = handle;
    ++committed_;
    result = driver_->set_access(at, extent_bytes_, &access, 1);
    if (result == CUDA_SUCCESS) continue;
    // The device's own tables take memory, too.
    unmap(extent);
    return resource_error("CUDA: cannot reach {} more bytes: {}", extent_bytes_,
                          driver_->name(result));
  }
  return {};
}

void ReservedMemory::release(size_t first, size_t last) {
  OCTAVO_CHECK(first <= last && last <= bytes_, "{} to {} of {}", first, last, bytes_);
  for (size_t extent = (first + extent_bytes_ - 1) / extent_bytes_;
       (extent + 1) * extent_bytes_ <= last; ++extent) {
    unmap(extent);
  }
}

void ReservedMemory::unmap(size_t extent) {
  if (extents_[extent] == 0) return;
  CUresult result = driver_->unmap(address_ + extent * extent_bytes_, extent_bytes_);
  OCTAVO_CHECK(result == CUDA_SUCCESS, "cuMemUnmap: {}", driver_->name(result));
  result = driver_->release(extents_[extent]);
  OCTAVO_CHECK(result == CUDA_SUCCESS, "cuMemRelease: {}", driver_->name(result));
  extents_[extent] = 0;
  --committed_;
}

}  // namespace octavo::cuda
