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
#include "backend/cuda/sample_plan.h"
#include "backend/cuda/step_arrays.h"
#include "backend/cuda/tape.h"

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
  static constexpr size_t kArrays = 5;
  // Draws that may be launched and not yet collected.
  static constexpr size_t kMostOutstanding = 2;

  static Result<std::unique_ptr<DeviceSampler>> create(cudaStream_t stream, size_t first_array);
  ~DeviceSampler();
  DeviceSampler(const DeviceSampler&) = delete;
  DeviceSampler& operator=(const DeviceSampler&) = delete;

  // Draws a token per row from logits [.., vocabulary] (Backend::sample): notes it on the step's
  // tape, runs that, and has the results copied to the host. Waits only where memory must grow. The
  // logits of a row may be changed. The last one of a row's tokens may be ~r, as in a Batch: the
  // token that row r of the previous draw gave.
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
    size_t rows = 0;
    std::vector<LogprobRequest> logprobs;
    PinnedBuffer results;  // the tokens; the log probabilities; the most probable tokens
  };
  // Log probabilities on the device.
  struct Logprobs {
    const void* data = nullptr;
    size_t bytes = 0;
  };

  DeviceSampler(cudaStream_t stream, size_t first_array, ReservedMemory tokens);
  const float* note_adjust(Tensor logits, const SamplePlan& plan, std::span<const uint32_t> allowed,
                           const Step& step);
  void note_draw(Tensor logits, const float* adjusted, const SamplePlan& plan, const Step& step);
  Logprobs note_logprobs(Tensor logits, const SamplePlan& plan, const Step& step);
  void fetch(Draw& draw, const Logprobs& logprobs);
  int32_t* device_tokens() const { return reinterpret_cast<int32_t*>(tokens_.data()); }

  cudaStream_t stream_;
  size_t first_array_;
  ReservedMemory tokens_;
  SamplePlanner planner_;
  std::array<Draw, kMostOutstanding> draws_;
  uint64_t launched_ = 0;
  uint64_t collected_ = 0;
};

}  // namespace octavo::cuda
