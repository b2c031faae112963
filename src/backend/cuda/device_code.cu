#include "backend/cuda/device_code.h"

#include <cuda_runtime_api.h>

namespace octavo::cuda {
namespace {

__global__ void tell(int* facts) {
#if __CUDA_ARCH__ >= 900
  facts[0] = 1;
#endif
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  facts[1] = 1;
#endif
}

DeviceCode ask() {
  int facts[2] = {0, 0};
  int* on_device = nullptr;
  if (cudaMalloc(&on_device, sizeof(facts)) != cudaSuccess) return {false, false};
  cudaMemset(on_device, 0, sizeof(facts));
  tell<<<1, 1>>>(on_device);
  cudaMemcpy(facts, on_device, sizeof(facts), cudaMemcpyDeviceToHost);
  cudaFree(on_device);
  return {facts[0] == 1, facts[1] == 1};
}

}  // namespace

const DeviceCode& device_code() {
  static const DeviceCode code = ask();
  return code;
}

}  // namespace octavo::cuda
