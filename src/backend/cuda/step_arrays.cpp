#include "backend/cuda/step_arrays.h"

#include <algorithm>
#include <utility>

#include "backend/cuda/check_cuda.h"

namespace octavo::cuda {
namespace {

constexpr size_t kLeastArrayBytes = size_t{64} << 10;
constexpr size_t kLeastStagingBytes = size_t{1} << 20;

// For arrays that step sizes bound: being without memory for them ends the process.
template <class T>
T required(Result<T> result) {
  OCTAVO_CHECK(result.ok(), "arrays of a step: {}", result.error().message);
  return std::move(result).value();
}

}  // namespace

StepArrays::StepArrays(cudaStream_t stream) : stream_(stream) {
  for (Staging& staging : stagings_) {
    OCTAVO_CUDA(cudaEventCreateWithFlags(&staging.sent, cudaEventDisableTiming));
  }
}

StepArrays::~StepArrays() {
  for (const Staging& staging : stagings_) OCTAVO_CUDA(cudaEventDestroy(staging.sent));
}

void StepArrays::begin_step() {
  OCTAVO_CUDA(cudaEventRecord(stagings_[current_].sent, stream_));
  current_ ^= 1;
  Staging& staging = stagings_[current_];
  OCTAVO_CUDA(cudaEventSynchronize(staging.sent));
  staging.used = 0;
  staging.retired.clear();
}

const int32_t* StepArrays::send(size_t index, std::span<const int32_t> values) {
  const size_t bytes = values.size_bytes();
  if (index >= arrays_.size()) arrays_.resize(index + 1);
  DeviceBuffer& array = arrays_[index];
  if (array.bytes() < bytes || array.bytes() == 0) {
    const size_t room = std::max(2 * bytes, kLeastArrayBytes);
    // Frees the old one, which waits for the device: nothing reads it any more.
    array = required(DeviceBuffer::create(room, "arrays of a step"));
  }
  Staging& staging = stagings_[current_];
  if (staging.buffer.bytes() < staging.used + bytes) {
    const size_t room = std::max(2 * (staging.used + bytes), kLeastStagingBytes);
    if (staging.buffer.bytes() > 0) staging.retired.push_back(std::move(staging.buffer));
    staging.buffer = required(PinnedBuffer::create(room));
    staging.used = 0;
  }
  auto* at = staging.buffer.data() + staging.used;
  if (bytes > 0) {
    std::memcpy(at, values.data(), bytes);
    OCTAVO_CUDA(cudaMemcpyAsync(array.data(), at, bytes, cudaMemcpyHostToDevice, stream_));
  }
  staging.used += (bytes + 15) / 16 * 16;
  return reinterpret_cast<const int32_t*>(array.data());
}

}  // namespace octavo::cuda
