#include "backend/cuda/block_moves.h"

#include "backend/cuda/check_cuda.h"
#include "base/check.h"

namespace octavo::cuda {
namespace {

size_t block_bytes(const CudaKvStore& store) {
  return static_cast<size_t>(store.shape().block_bytes());
}

size_t slot_offset(const CudaKvStore& store, const BlockSwap& swap) {
  OCTAVO_CHECK(swap.host_slot >= 0, "host slot {}", swap.host_slot);
  return static_cast<size_t>(swap.host_slot) * block_bytes(store);
}

}  // namespace

BlockMoves::BlockMoves(cudaStream_t compute) : compute_(compute) {
  OCTAVO_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  OCTAVO_CUDA(cudaEventCreateWithFlags(&computed_, cudaEventDisableTiming));
  OCTAVO_CUDA(cudaEventCreateWithFlags(&moved_, cudaEventDisableTiming));
}

BlockMoves::~BlockMoves() {
  OCTAVO_CUDA(cudaStreamSynchronize(stream_));
  OCTAVO_CUDA(cudaEventDestroy(moved_));
  OCTAVO_CUDA(cudaEventDestroy(computed_));
  OCTAVO_CUDA(cudaStreamDestroy(stream_));
}

void BlockMoves::follow_compute() {
  OCTAVO_CUDA(cudaEventRecord(computed_, compute_));
  OCTAVO_CUDA(cudaStreamWaitEvent(stream_, computed_, 0));
}

void BlockMoves::precede_compute() {
  OCTAVO_CUDA(cudaEventRecord(moved_, stream_));
  OCTAVO_CUDA(cudaStreamWaitEvent(compute_, moved_, 0));
}

void BlockMoves::copy(const CudaKvStore& store, std::span<const BlockCopy> copies) {
  follow_compute();
  for (const BlockCopy& copy : copies) {
    OCTAVO_CUDA(cudaMemcpyAsync(store.block(copy.to), store.block(copy.from), block_bytes(store),
                                cudaMemcpyDeviceToDevice, stream_));
  }
  precede_compute();
}

void BlockMoves::swap_out(const CudaKvStore& store, std::byte* host,
                          std::span<const BlockSwap> swaps) {
  follow_compute();
  for (const BlockSwap& swap : swaps) {
    OCTAVO_CUDA(cudaMemcpyAsync(host + slot_offset(store, swap), store.block(swap.block),
                                block_bytes(store), cudaMemcpyDeviceToHost, stream_));
  }
  OCTAVO_CUDA(cudaStreamSynchronize(stream_));
}

void BlockMoves::swap_in(const CudaKvStore& store, const std::byte* host,
                         std::span<const BlockSwap> swaps) {
  for (const BlockSwap& swap : swaps) {
    OCTAVO_CUDA(cudaMemcpyAsync(store.block(swap.block), host + slot_offset(store, swap),
                                block_bytes(store), cudaMemcpyHostToDevice, stream_));
  }
  precede_compute();
  OCTAVO_CUDA(cudaStreamSynchronize(stream_));
}

}  // namespace octavo::cuda
