// A fixed crew of threads that runs one parallel loop at a time.
//
// Ownership: the pool owns its worker threads; the thread that calls parallel_for works too, so a
// pool of size 1 starts no thread. Thread safety: parallel_for is called by one thread at a time.
// Workers spin briefly between loops (a forward pass issues hundreds of short ones) and then sleep,
// so an idle pool uses no processor time.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace octavo {

class ThreadPool {
 public:
  explicit ThreadPool(int threads);  // threads >= 1
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(i) for every i in [0, count), each exactly once, in any order and on any thread, and
  // returns when all are done. What body(i) computes must not depend on which thread runs it.
  template <class Body>
  void parallel_for(size_t count, Body&& body) {
    run(
        count,
        [](void* context, size_t i) { (*static_cast<std::remove_reference_t<Body>*>(context))(i); },
        const_cast<void*>(static_cast<const void*>(&body)));
  }

 private:
  using Call = void (*)(void* context, size_t index);

  void run(size_t count, Call call, void* context);
  // Takes indices of the loop with this generation until none is left or another loop began.
  void work(uint32_t generation);
  void worker_main();
  void stop();  // joins the workers

  std::vector<std::thread> workers_;
  // The current loop. A thread that took an index out of `ticket_` may read these: they change only
  // when all indices of the loop are done.
  Call call_ = nullptr;
  void* context_ = nullptr;
  uint32_t count_ = 0;
  // High half: the generation of the loop; low half: how many indices nobody has taken. A worker
  // that wakes up late finds another generation, or nothing left, and takes nothing: the loop does
  // not wait for it.
  std::atomic<uint64_t> ticket_{0};
  std::atomic<uint32_t> generation_{0};  // raised once per loop, what idle workers wait for
  std::atomic<uint32_t> done_{0};        // indices of the current loop that are finished
  std::atomic<bool> stop_{false};
};

}  // namespace octavo
