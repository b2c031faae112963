#include "base/thread_pool.h"

#include <limits>

#include "base/check.h"

namespace octavo {
namespace {

// About 20 to 50 microseconds: longer than the gaps inside a forward pass, shorter than anyone
// notices.
constexpr int kSpins = 2000;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits until `value` differs from `old`: spinning first, then asleep in the kernel.
void wait_for_change(const std::atomic<uint32_t>& value, uint32_t old) {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (value.load(std::memory_order_acquire) != old) return;
    relax();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  OCTAVO_CHECK(threads >= 1, "a pool needs at least one thread, not {}", threads);
  try {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { worker_main(); });
  } catch (...) {  // the system gives no more threads
    stop();
    throw;
  }
}

ThreadPool::~ThreadPool() {
  stop();
}

void ThreadPool::stop() {
  stop_.store(true, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(size_t count, Call call, void* context) {
  if (workers_.empty() || count <= 1) {
    for (size_t i = 0; i < count; ++i) call(context, i);
    return;
  }
  OCTAVO_CHECK(count <= std::numeric_limits<uint32_t>::max(), "a loop of {} steps", count);
  call_ = call;
  context_ = context;
  count_ = static_cast<uint32_t>(count);
  done_.store(0, std::memory_order_relaxed);
  const uint32_t generation = generation_.load(std::memory_order_relaxed) + 1;
  ticket_.store(static_cast<uint64_t>(generation) << 32 | count, std::memory_order_release);
  generation_.store(generation, std::memory_order_release);
  generation_.notify_all();
  work(generation);
  for (uint32_t done = done_.load(std::memory_order_acquire); done != count;
       done = done_.load(std::memory_order_acquire)) {
    wait_for_change(done_, done);
  }
}

void ThreadPool::work(uint32_t generation) {
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  while (ticket >> 32 == generation && static_cast<uint32_t>(ticket) != 0) {
    if (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel)) continue;
    const uint32_t count = count_;
    call_(context_, count - static_cast<uint32_t>(ticket));
    // Whoever finishes the last index wakes the caller; from then on a new loop may begin.
    if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == count) done_.notify_one();
    ticket = ticket_.load(std::memory_order_acquire);
  }
}

void ThreadPool::worker_main() {
  uint32_t seen = 0;
  while (true) {
    wait_for_change(generation_, seen);
    seen = generation_.load(std::memory_order_acquire);
    if (stop_.load(std::memory_order_relaxed)) return;
    work(seen);
  }
}

}  // namespace octavo
