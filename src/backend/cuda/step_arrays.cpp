#include "backend/cuda/step_arrays.h"

#include <algorithm>

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

const int32_t* StepArrays::send(size_t index, std::span<const int32_t> values) {
  const size_t bytes = values.size_bytes();
  if (index >= arrays_.size()) arrays_.resize(index + 1);
  DeviceBuffer& array = arrays_[index];
  if (array.bytes() < bytes || array.bytes() == 0) {
    const size_t room = std::max(2 * bytes, kLeastArrayBytes);
    // Frees the old one, which waits for the device: nothing reads it any more.
    array = required(DeviceBuffer::create(room, "arrays of a step"));
  }
  if (staging_.bytes() < staged_ + bytes) {
    const size_t room = std::max(2 * (staged_ + bytes), kLeastStagingBytes);
    if (staging_.bytes() > 0) retired_.push_back(std::move(staging_));
    staging_ = required(PinnedBuffer::create(room));
    staged_ = 0;
  }
  auto* at = staging_.data() + staged_;
  if (bytes > 0) {
    std::memcpy(at, values.data(), bytes);
    OCTAVO_CUDA(cudaMemcpyAsync(array.data(), at, bytes, cudaMemcpyHostToDevice, stream_));
  }
  staged_ += (bytes + 15) / 16 * 16;
  return reinterpret_cast<const int32_t*>(array.data());
}

}  // namespace octavo::cuda
