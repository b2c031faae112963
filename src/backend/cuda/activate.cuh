// The activations of gates. Device code only.
#pragma once

#include <cuda_runtime_api.h>

namespace octavo::cuda {

__device__ inline float silu(float x) {
  return x / (1.0F + expf(-x));
}

__device__ inline float gelu_tanh(float x) {
  constexpr float kRootTwoOverPi = 0.797884560802865F;
  return 0.5F * x * (1.0F + tanhf(kRootTwoOverPi * (x + 0.044715F * x * x * x)));
}

__device__ inline float activate(float x, bool gelu) {
  return gelu ? gelu_tanh(x) : silu(x);
}

}  // namespace octavo::cuda
