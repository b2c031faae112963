#include "backend/cuda/tape.h"

#include <algorithm>

#include "backend/cuda/check_cuda.h"

namespace octavo::cuda {
namespace {

// Graphs that are kept: more than the batch sizes that a server goes through in a while. One takes
// some hundred kilobytes.
constexpr size_t kMostGraphs = 128;

}  // namespace

Tape::~Tape() {
  for (const Recorded& recorded : recorded_) {
    if (recorded.graph != nullptr) OCTAVO_CUDA(cudaGraphExecDestroy(recorded.graph));
  }
}

void Tape::forget() {
  bytes_.clear();
  starts_.clear();
}

void Tape::launch_all() {
  const char* at = bytes_.data();
  const char* end = at + bytes_.size();
  while (at != end) {
    Entry entry;
    std::memcpy(&entry, at, sizeof(entry));
    at += sizeof(entry);
    entry.call(entry.function, at, stream_);
    at += entry.bytes;
  }
  OCTAVO_CUDA(cudaGetLastError());
}

void Tape::capture(Recorded& recorded) {
  OCTAVO_CUDA(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
  launch_all();
  cudaGraph_t graph = nullptr;
  OCTAVO_CUDA(cudaStreamEndCapture(stream_, &graph));
  OCTAVO_CUDA(cudaGraphInstantiate(&recorded.graph, graph, 0));
  OCTAVO_CUDA(cudaGraphDestroy(graph));
}

void Tape::run(bool repeats) {
  if (bytes_.empty()) return;
  if (!repeats) {
    launch_all();
    forget();
    return;
  }
  const auto found =
      std::find_if(recorded_.begin(), recorded_.end(),
                   [this](const Recorded& recorded) { return recorded.bytes == bytes_; });
  if (found == recorded_.end()) {
    // The first time, kernels are loaded and products choose their algorithm: nothing to capture.
    launch_all();
    if (recorded_.size() == kMostGraphs) {
      if (recorded_.back().graph != nullptr) {
        OCTAVO_CUDA(cudaGraphExecDestroy(recorded_.back().graph));
      }
      recorded_.pop_back();
    }
    recorded_.push_front({std::move(bytes_), nullptr});
  } else {
    recorded_.splice(recorded_.begin(), recorded_, found);
    Recorded& recorded = recorded_.front();
    if (recorded.graph == nullptr) capture(recorded);
    OCTAVO_CUDA(cudaGraphLaunch(recorded.graph, stream_));
    ++replays_;
  }
  forget();
}

}  // namespace octavo::cuda
