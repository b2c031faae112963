// An engine that runs ahead, while requests come, are cancelled and dropped at any moment.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

#include "engine_ahead.h"
#include "random_requests.h"

namespace octavo {
namespace {

constexpr int kThreads = 4;

uint32_t seed() {
  const char* text = std::getenv("OCTAVO_TEST_SEED");
  return text == nullptr ? 20261130 : static_cast<uint32_t>(std::strtoul(text, nullptr, 10));
}

// One that is dropped or cancelled after some time, whatever it does then, or read to its end.
void serve_one(Engine& engine, const Request& request, const std::vector<OutputRecord>& alone,
               std::mt19937& random) {
  auto stream = engine.submit(request);
  ASSERT_TRUE(stream.ok()) << stream.error().message;
  const auto some_time = std::chrono::microseconds(random() % 3000);
  switch (random() % 4) {
    case 0:
      std::this_thread::sleep_for(some_time);
      return;  // drops it
    case 1:
      std::this_thread::sleep_for(some_time);
      (*stream)->cancel();
      while ((*stream)->next()) {
      }
      return;
    default:
      break;
  }
  std::vector<OutputRecord> outputs(alone.size());
  while (auto event = (*stream)->next()) record(*event, outputs);
  EXPECT_EQ(outputs, alone);
}

TEST(Ahead, RequestsComeAndGoAtAnyMoment) {
  EngineConfig calm = golden_config("llama");
  calm.deterministic = true;
  std::vector<Request> requests;
  std::vector<std::vector<OutputRecord>> alone;
  EngineConfig config = calm;
  {
    calm.prefix_cache = false;
    auto engine = make_engine(calm);
    requests = random_requests(seed(), engine->model().vocabulary, 24);
    for (const Request& request : requests) alone.push_back(run_to_end(*engine, request));
    config.kv_memory_bytes = 10 * engine->stats().block_bytes;
    config.kv_host_memory_bytes = config.kv_memory_bytes;
  }
  config.batch_tokens = 24;
  for (uint32_t round = 0; round < 3; ++round) {
    auto engine = make_engine_ahead(config);
    std::vector<std::thread> threads;
    std::atomic<bool> is_over = false;
    for (uint32_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 random(seed() + kThreads * round + t);
        for (int i = 0; i < 40; ++i) {
          const size_t which = random() % requests.size();
          serve_one(*engine, requests[which], alone[which], random);
        }
      });
    }
    std::thread watcher([&] {
      while (!is_over) {
        (void)engine->stats();
        (void)engine->cache_snapshot();
        std::this_thread::sleep_for(std::chrono::microseconds(500));
      }
    });
    for (std::thread& thread : threads) thread.join();
    is_over = true;
    watcher.join();
    // It goes down in the middle of something.
    std::vector<std::unique_ptr<Stream>> left;
    left.reserve(requests.size());
    for (const Request& request : requests) left.push_back(std::move(*engine->submit(request)));
    std::this_thread::sleep_for(std::chrono::milliseconds(round));
    engine = nullptr;
    for (size_t i = 0; i < left.size(); ++i) {
      std::vector<OutputRecord> outputs(alone[i].size());
      while (auto event = left[i]->next()) record(*event, outputs);
      for (const OutputRecord& output : outputs) EXPECT_NE(output.finish, FinishReason::none);
    }
  }
}

}  // namespace
}  // namespace octavo
