// A weight in a device's memory: floats, a dense matrix as in the file, or the planes of a
// quantised one (weight_layout.h). Immutable once made.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>

#include "backend/backend.h"
#include "backend/cuda/device_memory.h"
#include "backend/cuda/weight_layout.h"
#include "base/thread_pool.h"

namespace octavo::cuda {

// Two buffers of pinned memory through which the bytes of model files go to the device: one is
// filled while the other is sent.
class Staging {
 public:
  static constexpr size_t kBytes = size_t{32} << 20;

  static Result<std::unique_ptr<Staging>> create(cudaStream_t stream);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  // The buffer [kBytes] to fill next, once its last content is on the device.
  std::byte* next();
  // Sends `bytes` at `from`, a part of the buffer that next() gave.
  void send(const std::byte* from, std::byte* to, size_t bytes);
  // Waits until everything is on the device.
  void finish();

 private:
  explicit Staging(cudaStream_t stream) : stream_(stream) {}

  cudaStream_t stream_;
  PinnedBuffer buffers_[2];
  cudaEvent_t sent_[2] = {};
  size_t current_ = 0;
};

class CudaWeight final : public Weight {
 public:
  // Errors name the tensor: a shape that is not possible, or memory that is not there, with sizes.
  static Result<std::unique_ptr<CudaWeight>> create(const WeightSource& source, WeightUse use,
                                                    ThreadPool& pool, Staging& staging);

  size_t bytes() const override { return memory_.bytes(); }

  const float* vector() const;             // [columns], of a vector
  const void* dense() const;               // [rows, columns] of an f32, f16 or bf16 matrix
  const QuantizedView& quantized() const;  // of all others

 private:
  CudaWeight(const WeightSource& source, WeightUse use) : Weight(source, Split::none), use_(use) {}
  Result<void> upload_bytes(const WeightSource& source, ThreadPool& pool, Staging& staging);
  Result<void> upload_planes(const WeightSource& source, ThreadPool& pool, Staging& staging);
  Result<void> upload_vector(const WeightSource& source, Staging& staging);

  WeightUse use_;
  DeviceBuffer memory_;
  QuantizedView view_ = {};
};

}  // namespace octavo::cuda
