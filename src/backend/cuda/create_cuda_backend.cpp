#include "backend/cuda/create_cuda_backend.h"

#include "backend/cuda/check_cuda.h"
#include "backend/cuda/cuda_backend.h"

namespace octavo::cuda {

int device_count() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  static_cast<void>(cudaGetLastError());
  return error == cudaSuccess ? count : 0;
}

std::string device_name(int device) {
  cudaDeviceProp properties{};
  OCTAVO_CUDA(cudaGetDeviceProperties(&properties, device));
  return properties.name;
}

Result<std::unique_ptr<Backend>> create_cuda_backend(const CudaOptions& options) {
  OCTAVO_ASSIGN(std::unique_ptr<CudaBackend> backend, CudaBackend::create(options));
  return std::unique_ptr<Backend>(std::move(backend));
}

GpuMemory gpu_memory(int device) {
  OCTAVO_CUDA(cudaSetDevice(device));
  const DeviceMemoryInfo memory = device_memory();
  return {static_cast<int64_t>(memory.free), static_cast<int64_t>(memory.total)};
}

int64_t replayed_steps(const Backend& backend) {
  return static_cast<const CudaBackend&>(backend).replays();
}

}  // namespace octavo::cuda
