// A disk that does not answer: steps go on, and so does every request of which it has nothing.
//
// pread and pwrite of this program are the ones below, which wait while the disk is stuck. Only the
// disk tier calls them: models are mapped, streams use read and write.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "engine_run.h"
#include "scratch_folder.h"

namespace {

std::atomic<bool> g_is_stuck = false;
std::atomic<int> g_waiting = 0;  // calls

void wait_for_disk() {
  ++g_waiting;
  g_is_stuck.wait(true);
  --g_waiting;
}

template <class Function>
Function next_of(const char* name, Function /*type*/) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" ssize_t pread(int file, void* out, size_t bytes, off_t offset) {
  static const auto call = next_of("pread", &pread);
  wait_for_disk();
  return call(file, out, bytes, offset);
}

extern "C" ssize_t pwrite(int file, const void* from, size_t bytes, off_t offset) {
  static const auto call = next_of("pwrite", &pwrite);
  wait_for_disk();
  return call(file, from, bytes, offset);
}

namespace octavo {
namespace {

using namespace std::chrono_literals;

class StuckDisk {
 public:
  StuckDisk() { g_is_stuck = true; }
  ~StuckDisk() { release(); }
  void release() {
    g_is_stuck = false;
    g_is_stuck.notify_all();
  }
  // Somebody waits for it now.
  static bool is_waited_for() {
    for (int i = 0; i < 2000 && g_waiting == 0; ++i) std::this_thread::sleep_for(10ms);
    return g_waiting > 0;
  }
};

std::vector<Request> different_requests(int32_t first, int count) {
  std::vector<Request> requests;
  for (int32_t i = first; i < first + count; ++i) {
    std::vector<int32_t> prompt(70, 3);
    for (size_t k = 0; k < prompt.size(); ++k) {
      prompt[k] = 3 + (i * 31 + static_cast<int32_t>(k) * 7) % 200;
    }
    requests.push_back(greedy(prompt, 12));
  }
  return requests;
}

using Records = std::vector<std::vector<OutputRecord>>;

Records run_all(Engine& engine, const std::vector<Request>& requests) {
  Records records;
  for (const Request& request : requests) records.push_back(run_to_end(engine, request));
  return records;
}

// Nothing when it takes so long that it must have waited for the disk, which is freed then.
std::optional<Records> run_beside(StuckDisk& disk, Engine& engine,
                                  const std::vector<Request>& requests) {
  auto records = std::async(std::launch::async, [&] { return run_all(engine, requests); });
  const bool is_over = records.wait_for(60s) == std::future_status::ready;
  if (!is_over) disk.release();
  Records all = records.get();
  return is_over ? std::optional(all) : std::nullopt;
}

class SlowDisk : public testing::Test {
 protected:
  // Little room before the disk, so that every request writes there.
  std::unique_ptr<Engine> make() const {
    EngineConfig config = golden_config("llama");
    config.kv_memory_bytes = 12 * block_bytes_;
    config.kv_host_memory_bytes = 16 * block_bytes_;
    config.kv_disk = folder_.path("kv.cache");
    return make_engine(config);
  }
  // Until the tier has read the model and found or written something.
  static bool is_started(const Engine& engine) {
    for (int i = 0; i < 2000 && engine.stats().disk_blocks == 0; ++i) {
      std::this_thread::sleep_for(10ms);
    }
    return engine.stats().disk_blocks > 0;
  }

  const std::vector<Request> known_ = different_requests(0, 10);
  const std::vector<Request> others_ = different_requests(20, 10);
  const int64_t block_bytes_ = make_engine(golden_config("llama"))->stats().block_bytes;
  const Records known_alone_ = run_all(*make_engine(golden_config("llama")), known_);
  const Records others_alone_ = run_all(*make_engine(golden_config("llama")), others_);
  ScratchFolder folder_;
};

TEST_F(SlowDisk, NoStepWaitsForAWrite) {
  auto engine = make();
  EXPECT_EQ(run_all(*engine, known_), known_alone_);
  ASSERT_TRUE(is_started(*engine));
  StuckDisk disk;
  const auto records = run_beside(disk, *engine, others_);
  ASSERT_TRUE(records.has_value()) << "a step waited";
  EXPECT_EQ(*records, others_alone_);
  EXPECT_TRUE(StuckDisk::is_waited_for()) << "nothing was written that could have been waited for";
}

TEST_F(SlowDisk, OnlyTheRequestThatReadsWaits) {
  { EXPECT_EQ(run_all(*make(), known_), known_alone_); }
  auto engine = make();
  ASSERT_TRUE(is_started(*engine));
  StuckDisk disk;
  auto reader = std::move(*engine->submit(known_[0]));
  auto cancelled = std::move(*engine->submit(known_[1]));
  ASSERT_TRUE(StuckDisk::is_waited_for());
  const auto records = run_beside(disk, *engine, others_);
  ASSERT_TRUE(records.has_value()) << "a step waited";
  EXPECT_EQ(*records, others_alone_);
  EXPECT_FALSE(reader->try_next().has_value());

  cancelled->cancel();  // which need not wait either
  std::vector<OutputRecord> outputs(1);
  while (auto event = cancelled->next()) record(*event, outputs);
  EXPECT_EQ(outputs[0].finish, FinishReason::cancelled);
  EXPECT_GT(g_waiting, 0);

  disk.release();
  outputs.assign(1, {});
  while (auto event = reader->next()) record(*event, outputs);
  EXPECT_EQ(outputs, known_alone_[0]);
  EXPECT_GT(engine->stats().disk_blocks_read, 0);
}

}  // namespace
}  // namespace octavo
