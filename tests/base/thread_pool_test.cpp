#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <ctime>
#include <vector>

namespace octavo {
namespace {

TEST(ThreadPool, RunsEveryIndexOnce) {
  for (int threads = 1; threads <= 4; ++threads) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (size_t count : {0u, 1u, 2u, 7u, 1000u}) {
      std::vector<std::atomic<int>> seen(count);
      pool.parallel_for(count, [&](size_t i) { seen[i].fetch_add(1); });
      for (size_t i = 0; i < count; ++i) EXPECT_EQ(seen[i].load(), 1) << i;
    }
  }
}

TEST(ThreadPool, ManyShortLoops) {
  ThreadPool pool(3);
  size_t total = 0;
  for (size_t loop = 0; loop < 20'000; ++loop) {
    std::atomic<size_t> sum{0};
    pool.parallel_for(5, [&](size_t i) { sum.fetch_add(i + loop); });
    total += sum.load() - 5 * loop;
  }
  EXPECT_EQ(total, 20'000u * 10);
}

TEST(ThreadPool, SleepsWhenIdle) {
  ThreadPool pool(4);
  pool.parallel_for(4, [](size_t) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const std::clock_t before = std::clock();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const double used_ms = 1000.0 * static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
  EXPECT_LT(used_ms, 30.0);
}

}  // namespace
}  // namespace octavo
