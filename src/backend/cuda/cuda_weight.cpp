#include "backend/cuda/cuda_weight.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "backend/checks.h"
#include "backend/cuda/check_cuda.h"
#include "backend/cuda/pack_weight.h"
#include "base/error.h"
#include "gguf/dequantize.h"

namespace octavo::cuda {
namespace {

// Planes begin at multiples of this, for whatever the kernels load at once.
constexpr size_t kPlaneAlignment = 256;

size_t aligned(size_t bytes) {
  return (bytes + kPlaneAlignment - 1) / kPlaneAlignment * kPlaneAlignment;
}

// Where the planes of some rows begin in one piece of memory, and what they take together.
struct PlaneOffsets {
  size_t high;
  size_t scales;
  size_t super;
  size_t total;
};

PlaneOffsets offsets_of(const PlaneBytes& bytes) {
  PlaneOffsets offsets = {};
  offsets.high = aligned(bytes.codes);
  offsets.scales = offsets.high + aligned(bytes.high);
  offsets.super = offsets.scales + aligned(bytes.scales);
  offsets.total = offsets.super + aligned(bytes.super);
  return offsets;
}

uint8_t* bytes_at(std::byte* memory, size_t offset) {
  return reinterpret_cast<uint8_t*>(memory + offset);
}

// Calls body(first, last) for about equal parts of `count` rows, a part a thread.
template <class Body>
void for_parts(ThreadPool& pool, int64_t count, Body&& body) {
  const auto parts = std::min<int64_t>(count, pool.size());
  pool.parallel_for(static_cast<size_t>(parts), [&](size_t part) {
    const auto i = static_cast<int64_t>(part);
    body(count * i / parts, count * (i + 1) / parts);
  });
}

}  // namespace

Result<std::unique_ptr<Staging>> Staging::create(cudaStream_t stream) {
  std::unique_ptr<Staging> staging(new Staging(stream));
  for (size_t i = 0; i < 2; ++i) {
    OCTAVO_ASSIGN(staging->buffers_[i], PinnedBuffer::create(kBytes));
    OCTAVO_CUDA(cudaEventCreateWithFlags(&staging->sent_[i], cudaEventDisableTiming));
  }
  return staging;
}

Staging::~Staging() {
  for (cudaEvent_t event : sent_) {
    if (event != nullptr) OCTAVO_CUDA(cudaEventDestroy(event));
  }
}

std::byte* Staging::next() {
  current_ = 1 - current_;
  OCTAVO_CUDA(cudaEventSynchronize(sent_[current_]));
  return buffers_[current_].data();
}

void Staging::send(const std::byte* from, std::byte* to, size_t bytes) {
  if (bytes == 0) return;
  OCTAVO_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_));
  OCTAVO_CUDA(cudaEventRecord(sent_[current_], stream_));
}

void Staging::finish() {
  OCTAVO_CUDA(cudaStreamSynchronize(stream_));
}

Result<std::unique_ptr<CudaWeight>> CudaWeight::create(const WeightSource& source, WeightUse use,
                                                       ThreadPool& pool, Staging& staging) {
  OCTAVO_TRY(check_source(source, use));
  std::unique_ptr<CudaWeight> weight(new CudaWeight(source, use));
  if (use == WeightUse::vector) {
    OCTAVO_TRY(weight->upload_vector(source, staging));
  } else if (is_quantized(source.type)) {
    OCTAVO_TRY(weight->upload_planes(source, pool, staging));
  } else {
    OCTAVO_TRY(weight->upload_bytes(source, pool, staging));
  }
  staging.finish();
  return weight;
}

Result<void> CudaWeight::upload_vector(const WeightSource& source, Staging& staging) {
  const auto columns = static_cast<size_t>(source.columns);
  const size_t bytes = columns * sizeof(float);
  if (bytes > Staging::kBytes) {
    return unsupported("tensor '{}': a vector of {} values", printable(source.name), columns);
  }
  OCTAVO_ASSIGN(memory_,
                DeviceBuffer::create(bytes, fmt::format("tensor '{}'", printable(source.name))));
  std::byte* buffer = staging.next();
  gguf::dequantize_row(source.type, source.data, reinterpret_cast<float*>(buffer), columns);
  staging.send(buffer, memory_.data(), bytes);
  return {};
}

Result<void> CudaWeight::upload_bytes(const WeightSource& source, ThreadPool& pool,
                                      Staging& staging) {
  const auto total =
      static_cast<int64_t>(row_bytes(source.type, static_cast<size_t>(source.columns)) *
                           static_cast<size_t>(source.rows));
  OCTAVO_ASSIGN(memory_, DeviceBuffer::create(static_cast<size_t>(total),
                                              fmt::format("tensor '{}'", printable(source.name))));
  const auto room = static_cast<int64_t>(Staging::kBytes);
  for (int64_t first = 0; first < total; first += room) {
    const int64_t count = std::min(room, total - first);
    std::byte* buffer = staging.next();
    for_parts(pool, count, [&](int64_t begin, int64_t end) {
      std::memcpy(buffer + begin, source.data + first + begin, static_cast<size_t>(end - begin));
    });
    staging.send(buffer, memory_.data() + first, static_cast<size_t>(count));
  }
  return {};
}

Result<void> CudaWeight::upload_planes(const WeightSource& source, ThreadPool& pool,
                                       Staging& staging) {
  const int64_t columns = source.columns;
  const PlaneOffsets whole = offsets_of(plane_bytes(source.type, source.rows, columns));
  const PlaneBytes row = plane_bytes(source.type, 1, columns);
  const auto rows_at_once = static_cast<int64_t>((Staging::kBytes - 4 * kPlaneAlignment) /
                                                 (row.codes + row.high + row.scales + row.super));
  if (rows_at_once == 0) {
    return unsupported("tensor '{}': rows of {} values", printable(source.name), columns);
  }
  OCTAVO_ASSIGN(memory_, DeviceBuffer::create(whole.total,
                                              fmt::format("tensor '{}'", printable(source.name))));
  const size_t file_row = row_bytes(source.type, static_cast<size_t>(columns));
  for (int64_t first = 0; first < source.rows; first += rows_at_once) {
    const int64_t count = std::min(rows_at_once, source.rows - first);
    const PlaneBytes part = plane_bytes(source.type, count, columns);
    const PlaneOffsets at = offsets_of(part);
    std::byte* buffer = staging.next();
    for_parts(pool, count, [&](int64_t begin, int64_t end) {
      const auto r = static_cast<size_t>(begin);
      const Planes planes = {bytes_at(buffer, r * row.codes),
                             row.high == 0 ? nullptr : bytes_at(buffer, at.high + r * row.high),
                             bytes_at(buffer, at.scales + r * row.scales),
                             row.super == 0 ? nullptr : bytes_at(buffer, at.super + r * row.super)};
      pack_rows(source.type, source.data + static_cast<size_t>(first + begin) * file_row,
                end - begin, columns, planes);
    });
    const auto r = static_cast<size_t>(first);
    staging.send(buffer, memory_.data() + r * row.codes, part.codes);
    staging.send(buffer + at.high, memory_.data() + whole.high + r * row.high, part.high);
    staging.send(buffer + at.scales, memory_.data() + whole.scales + r * row.scales, part.scales);
    staging.send(buffer + at.super, memory_.data() + whole.super + r * row.super, part.super);
  }
  std::byte* memory = memory_.data();
  view_ = {bytes_at(memory, 0),
           bytes_at(memory, whole.high),
           bytes_at(memory, whole.scales),
           bytes_at(memory, whole.super),
           source.rows,
           columns / kChunk};
  return {};
}

const float* CudaWeight::vector() const {
  OCTAVO_CHECK(use_ == WeightUse::vector, "the weight was not uploaded as a vector");
  return reinterpret_cast<const float*>(memory_.data());
}

const void* CudaWeight::dense() const {
  OCTAVO_CHECK(use_ != WeightUse::vector, "the weight was uploaded as a vector");
  return memory_.data();
}

const QuantizedView& CudaWeight::quantized() const {
  OCTAVO_CHECK(view_.rows > 0, "the weight is not quantised");
  return view_;
}

}  // namespace octavo::cuda
