// Draws the tokens of a step on the device, and brings them to the host when they are wanted.
//
// A draw is launched with the step and its results are collected later: the next step may be
// planned and launched meanwhile. Thread safety: one thread.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "backend/cuda/device_memory.h"
#include "backend/cuda/device_scratch.h"
#include "backend/cuda/sample_kernels.h"
#include "backend/cuda/step_arrays.h"
#include "backend/cuda/tape.h"
#include "backend/sampler.h"
#include "base/thread_pool.h"

namespace octavo::cuda {

class DeviceSampler {
 public:
  // What a step offers to its operations.
  struct Step {
    StepArrays& arrays;
    DeviceScratch& scratch;
    Tape& tape;
    bool repeats;  // such a step may come again (tape.h)
  };

  // Arrays [first_array, first_array + kArrays) of a step are the sampler's.
  static constexpr size_t kArrays = 1;
  // Draws that may be launched and not yet collected.
  static constexpr size_t kMostOutstanding = 2;

  static Result<std::unique_ptr<DeviceSampler>> create(cudaStream_t stream, size_t first_array,
                                                       ThreadPool& pool);
  ~DeviceSampler();
  DeviceSampler(const DeviceSampler&) = delete;
  DeviceSampler& operator=(const DeviceSampler&) = delete;

  // Draws a token per row from logits [.., vocabulary] (Backend::sample): notes it on the step's
  // tape, runs that, and has the results copied to the host. Waits for nothing.
  void launch(Tensor logits, std::span<const SampleRow> rows, std::span<const uint32_t> allowed,
              const Step& step);

  // The results of the draw that was launched first of those not yet collected; waits for them.
  void collect(std::span<SampledToken> out);

  // On the device, the tokens of the last draw by row: at the same address always, there until the
  // next draw.
  const int32_t* tokens() const { return reinterpret_cast<const int32_t*>(tokens_.data()); }

 private:
  // A draw that was launched.
  struct Draw {
    cudaEvent_t done = nullptr;
    PinnedBuffer results;  // tokens, then rows of logits
    std::vector<SampleRow> rows;
    std::vector<uint32_t> allowed;
    std::vector<size_t> on_device;
    std::vector<size_t> on_host;
    size_t vocabulary = 0;
  };

  DeviceSampler(cudaStream_t stream, size_t first_array, ThreadPool& pool, ReservedMemory tokens);
  void note(Tensor logits, std::span<const SampleRequest> requests, const Step& step);
  void fetch(Tensor logits, Draw& draw);
  void draw_on_host(Draw& draw, std::span<SampledToken> out);

  cudaStream_t stream_;
  size_t first_array_;
  ThreadPool& pool_;
  ReservedMemory tokens_;
  std::array<Draw, kMostOutstanding> draws_;
  uint64_t launched_ = 0;
  uint64_t collected_ = 0;
  std::vector<SamplerScratch> sampler_scratch_;
};

}  // namespace octavo::cuda
