#include "backend/cuda/create_cuda_backend.h"
#include "base/error.h"

namespace octavo::cuda {

int device_count() {
  return 0;
}

std::string device_name(int /*device*/) {
  return {};
}

Result<std::unique_ptr<Backend>> create_cuda_backend(const CudaOptions& /*options*/) {
  return unsupported("device: this program was built without CUDA");
}

GpuMemory gpu_memory(int /*device*/) {
  return {};
}

int64_t replayed_steps(const Backend& /*backend*/) {
  return 0;
}

}  // namespace octavo::cuda
