// Copies of whole blocks: within the pool, to host memory and back, on a stream of their own.
//
// So blocks that come in are copied while the step before is still computed, unless that plan has
// others go out first. Thread safety: one thread.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <span>

#include "backend/cuda/cuda_kv_store.h"
#include "base/block.h"

namespace octavo::cuda {

class BlockMoves {
 public:
  // `compute`: the stream of the steps, which must outlive this.
  explicit BlockMoves(cudaStream_t compute);
  ~BlockMoves();
  BlockMoves(const BlockMoves&) = delete;
  BlockMoves& operator=(const BlockMoves&) = delete;

  // Once what was computed so far is there; before anything that is computed from now on.
  void copy(const CudaKvStore& store, std::span<const BlockCopy> copies);
  // The same; returns when the bytes are in host memory.
  void swap_out(const CudaKvStore& store, std::byte* host, std::span<const BlockSwap> swaps);
  // Beside what is computed now, which must not use these blocks; before anything that is computed
  // from now on. Returns when the host memory may be changed again.
  void swap_in(const CudaKvStore& store, const std::byte* host, std::span<const BlockSwap> swaps);

 private:
  void follow_compute();
  void precede_compute();

  cudaStream_t compute_;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t computed_ = nullptr;
  cudaEvent_t moved_ = nullptr;
};

}  // namespace octavo::cuda
