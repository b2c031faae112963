// How kernels are launched, and how they follow each other.
//
// Kernels of a stream run one after the other, but on devices of compute capability 9.0 and later
// the next one may begin while the last blocks of the one before still run ("programmatic dependent
// launch"): its blocks take the room that becomes free and wait for the results. So the time that a
// kernel needs to get going is hidden behind its predecessor, and a kernel that reads weights,
// which nobody writes, loads the first of them meanwhile.
//
// Every kernel therefore says let_next_begin() at once, and wait_for_previous() before it reads
// what another kernel wrote and before it writes anything.
#pragma once

#include <cuda_runtime_api.h>

#include "backend/cuda/device_code.h"

namespace octavo::cuda {

// From the moment all blocks of this kernel have said so, or have ended, the next kernel may begin.
__device__ inline void let_next_begin() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// Until the kernels before this one have ended, and what they wrote is there.
__device__ inline void wait_for_previous() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Both, for kernels that have nothing to do before.
__device__ inline void follow_previous() {
  let_next_begin();
  wait_for_previous();
}

// Whether a kernel may begin before the one before it has ended.
enum class Overlap { none, begin_early };

// kernel<<<grid, threads, shared_bytes, stream>>>(args). Errors are found where the tape looks.
template <class Args>
void launch(void (*kernel)(Args), dim3 grid, int threads, const Args& args, cudaStream_t stream,
            size_t shared_bytes = 0, Overlap overlap = Overlap::begin_early) {
  const bool early = overlap == Overlap::begin_early && device_code().waits;
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = early ? 1 : 0;
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = dim3(static_cast<unsigned int>(threads));
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = 1;
  void* pointers[] = {const_cast<Args*>(&args)};
  cudaLaunchKernelExC(&config, reinterpret_cast<const void*>(kernel), pointers);
}

// Blocks of `per_block` items each.
inline unsigned int blocks_of(int64_t items, int64_t per_block) {
  return static_cast<unsigned int>((items + per_block - 1) / per_block);
}

}  // namespace octavo::cuda
