// Products of dense matrices by NVIDIA's library cuBLASLt, which is loaded when a device is used.
//
// Not linked: the library is half a gigabyte and the program must start without it.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>

#include "base/dtype.h"
#include "octavo/result.h"

namespace octavo::cuda {

// out[row][o] = sum over k of x[row][k] * weight[o][k].
struct DenseProductArgs {
  float* out;          // [rows, out_stride], `outputs` of each row are written
  const void* x;       // [rows, inner]
  const void* weight;  // [outputs, inner]
  void* workspace;     // kCublasWorkspaceBytes
  const class Cublas* library;
  int64_t rows;
  int64_t outputs;
  int64_t inner;
  int64_t out_stride;
  int64_t type;  // DType of x and of weight: f32, f16 or bf16; sums are f32
};

inline constexpr size_t kCublasWorkspaceBytes = size_t{32} << 20;

class Cublas {
 public:
  // Errors: the library is not found, with the names that were tried.
  static Result<std::unique_ptr<Cublas>> load();
  ~Cublas();
  Cublas(const Cublas&) = delete;
  Cublas& operator=(const Cublas&) = delete;

  void multiply(const DenseProductArgs& args, cudaStream_t stream) const;

 private:
  struct Functions;
  struct State;
  Cublas();

  std::unique_ptr<State> state_;
};

// For a tape.
void launch_dense_product(const DenseProductArgs& args, cudaStream_t stream);

}  // namespace octavo::cuda
