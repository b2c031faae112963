// Number formats by their bits, the same on the host and on a device.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#include <cuda_fp16.h>
#define OCTAVO_HOST_DEVICE __host__ __device__
#else
#define OCTAVO_HOST_DEVICE
#endif

#include "base/float16.h"

namespace octavo::cuda {

OCTAVO_HOST_DEVICE inline float float_of_f16(uint16_t bits) {
#ifdef __CUDA_ARCH__
  return __half2float(__ushort_as_half(bits));
#else
  return float_from_f16(bits);
#endif
}

// 2^exponent for -149 < exponent < 128.
OCTAVO_HOST_DEVICE inline float power_of_two(int exponent) {
  const uint32_t bits = exponent >= -126 ? static_cast<uint32_t>(exponent + 127) << 23
                                         : 1U << static_cast<uint32_t>(exponent + 149);
#ifdef __CUDA_ARCH__
  return __uint_as_float(bits);
#else
  float out;
  std::memcpy(&out, &bits, sizeof(out));
  return out;
#endif
}

// a * b, rounded: never contracted with a following addition.
OCTAVO_HOST_DEVICE inline float round_product(float a, float b) {
#ifdef __CUDA_ARCH__
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}

}  // namespace octavo::cuda
