// OCTAVO_CUDA: stops the process when a call of the CUDA runtime fails.
//
// Such a failure is a defect of the program, or the device is lost. Running out of memory is not:
// the places where memory is asked for look at the result themselves.
#pragma once

#include <cuda_runtime_api.h>

#include "base/check.h"

#define OCTAVO_CUDA(call)                                                                         \
  do {                                                                                            \
    const cudaError_t octavo_error = (call);                                                      \
    OCTAVO_CHECK(octavo_error == cudaSuccess, "{}: {}", #call, cudaGetErrorString(octavo_error)); \
  } while (false)
