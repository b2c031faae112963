// The device operations of a step, noted as they are asked for and run together.
//
// What the host does for a small step costs as much as what the device does, so the operations are
// not launched one by one: they are noted, as a function and its arguments, and run() launches them
// at the step's end. A list that is run again, byte for byte the same, is captured as a CUDA
// graph, and from then on one launch replays it. This holds for steps with equal numbers of rows,
// because every address in the arguments is the same in each of them: scratch memory and the step's
// arrays lie at fixed places, and what varies is read from those arrays.
//
// Thread safety: one thread.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <list>
#include <string>
#include <type_traits>
#include <vector>

namespace octavo::cuda {

class Tape {
 public:
  explicit Tape(cudaStream_t stream) : stream_(stream) {}
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  // Notes launch(args, stream). Args is plain data, without bytes that padding leaves undefined:
  // lists are compared by their bytes.
  template <class Args>
  void add(void (*launch)(const Args&, cudaStream_t), const Args& args) {
    static_assert(std::is_trivially_copyable_v<Args>);
    const Entry entry{[](const void* function, const void* bytes, cudaStream_t stream) {
                        Args copy;
                        std::memcpy(&copy, bytes, sizeof(Args));
                        reinterpret_cast<void (*)(const Args&, cudaStream_t)>(
                            const_cast<void*>(function))(copy, stream);
                      },
                      reinterpret_cast<const void*>(launch), sizeof(Args)};
    starts_.push_back(bytes_.size());
    append(&entry, sizeof(entry));
    append(&args, sizeof(args));
  }

  // Calls change(args) with the arguments of what was noted last but `back` entries, where that is
  // `launch`. Says whether it was, and change() agreed; otherwise the arguments stay as they were.
  template <class Args, class Change>
  bool amend(size_t back, void (*launch)(const Args&, cudaStream_t), const Change& change) {
    if (back >= starts_.size()) return false;
    char* at = bytes_.data() + starts_[starts_.size() - 1 - back];
    Entry entry;
    std::memcpy(&entry, at, sizeof(entry));
    if (entry.function != reinterpret_cast<const void*>(launch)) return false;
    char* args = at + sizeof(entry);
    Args copy;
    std::memcpy(&copy, args, sizeof(Args));
    if (!change(copy)) return false;
    std::memcpy(args, &copy, sizeof(Args));
    return true;
  }
  template <class Args, class Change>
  bool amend_last(void (*launch)(const Args&, cudaStream_t), const Change& change) {
    return amend(0, launch, change);
  }

  bool empty() const { return bytes_.empty(); }
  // Launches what was noted, in order, and forgets it. `repeats`: such a list may come again, and
  // is worth a graph.
  void run(bool repeats);

  // How often run() replayed a graph, for tests.
  int64_t replays() const { return replays_; }

 private:
  struct Entry {
    void (*call)(const void* function, const void* args, cudaStream_t stream);
    const void* function;
    size_t bytes;
  };
  struct Recorded {
    std::string bytes;
    cudaGraphExec_t graph = nullptr;  // null until the list came a second time
  };

  void append(const void* data, size_t bytes) {
    bytes_.append(static_cast<const char*>(data), bytes);
  }
  void forget();
  void launch_all();
  void capture(Recorded& recorded);

  cudaStream_t stream_;
  std::string bytes_;             // entries, each followed by its arguments
  std::vector<size_t> starts_;    // of the entries in bytes_
  std::list<Recorded> recorded_;  // the most recently used first
  int64_t replays_ = 0;
};

}  // namespace octavo::cuda
