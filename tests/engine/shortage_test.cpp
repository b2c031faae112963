// Other programs take the device's memory: the pool makes do with what it has.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>
#include <vector>

#include "engine_ahead.h"
#include "random_requests.h"

namespace octavo {
namespace {

constexpr uint32_t kSeed = 20261130;
constexpr int64_t kPool = 200;  // blocks
constexpr int64_t kLeft = 8;    // of them: as many as the largest random request needs

using Outputs = std::vector<OutputRecord>;

class Shortage : public testing::TestWithParam<bool> {  // whether it runs ahead
 protected:
  static EngineConfig config() {
    EngineConfig config = golden_config("llama");
    config.deterministic = true;
    config.batch_tokens = 24;
    return config;
  }

  void SetUp() override {
    EngineConfig calm = config();
    calm.prefix_cache = false;
    const auto engine = make_engine(calm);
    requests_ = random_requests(kSeed, engine->model().vocabulary, 40);
    for (const Request& request : requests_) alone_.push_back(run_to_end(*engine, request));
    std::vector<int32_t> prompt(100);
    std::iota(prompt.begin(), prompt.end(), 3);
    large_ = greedy(std::move(prompt), 120);  // 14 blocks
    large_alone_ = run_to_end(*engine, large_);
    EngineConfig with_room = config();
    with_room.kv_memory_bytes = kPool * engine->stats().block_bytes;
    engine_ = make_engine_of_blocks(with_room, GetParam(), limit_);
  }

  std::unique_ptr<Stream> submit(const Request& request) { return must(engine_->submit(request)); }
  static Outputs read(Stream& stream, const Request& request) {
    Outputs outputs(static_cast<size_t>(request.outputs));
    while (const auto event = stream.next()) record(*event, outputs);
    return outputs;
  }

  std::shared_ptr<BlockLimit> limit_ = std::make_shared<BlockLimit>(kLeft);
  std::vector<Request> requests_;
  std::vector<Outputs> alone_;
  Request large_;
  Outputs large_alone_;
  std::unique_ptr<Engine> engine_;
};

TEST_P(Shortage, ACrowdMakesDoWithWhatIsThere) {
  testing::internal::CaptureStderr();
  std::vector<std::unique_ptr<Stream>> streams;
  for (const Request& request : requests_) streams.push_back(submit(request));
  for (size_t i = 0; i < streams.size(); ++i) {
    EXPECT_EQ(read(*streams[i], requests_[i]), alone_[i]) << "request " << i;
  }
  const EngineStats stats = engine_->stats();
  EXPECT_EQ(stats.blocks_total, kPool);
  EXPECT_EQ(stats.blocks_uncommitted, kPool - kLeft);
  EXPECT_GT(stats.preemptions, 0);
  EXPECT_GT(stats.evictions, 0);
  engine_ = nullptr;
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("the KV cache makes do with the memory it has: no memory for 2 more blocks"),
            std::string::npos)
      << log;
}

TEST_P(Shortage, WhatDoesNotFitAloneIsEndedAndFitsWhenTheMemoryIsBack) {
  std::vector<std::unique_ptr<Stream>> streams;
  std::unique_ptr<Stream> large;
  for (size_t i = 0; i < requests_.size(); ++i) {
    if (i == 7) large = submit(large_);  // it is served before most, and preempts many
    streams.push_back(submit(requests_[i]));
  }
  const OutputRecord ended = read(*large, large_)[0];
  EXPECT_EQ(ended.finish, FinishReason::no_memory);
  const std::vector<int32_t>& whole = large_alone_[0].tokens;
  ASSERT_LT(ended.tokens.size(), whole.size());
  EXPECT_TRUE(std::equal(ended.tokens.begin(), ended.tokens.end(), whole.begin()));
  for (size_t i = 0; i < streams.size(); ++i) {
    EXPECT_EQ(read(*streams[i], requests_[i]), alone_[i]) << "request " << i;
  }

  *limit_ = kPool;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  Outputs again = run_to_end(*engine_, large_);
  while (again[0].finish == FinishReason::no_memory &&
         std::chrono::steady_clock::now() < deadline) {
    again = run_to_end(*engine_, large_);
  }
  EXPECT_EQ(again, large_alone_);
}

TEST_P(Shortage, WithoutAnyMemoryEveryOutputIsEnded) {
  *limit_ = 0;
  for (const Request& request : requests_) {
    for (const OutputRecord& output : run_to_end(*engine_, request)) {
      EXPECT_EQ(output.finish, FinishReason::no_memory);
      EXPECT_TRUE(output.tokens.empty());
    }
  }
  EXPECT_EQ(engine_->stats().running, 0);
}

INSTANTIATE_TEST_SUITE_P(Engines, Shortage, testing::Bool(),
                         [](const auto& test) { return test.param ? "Ahead" : "AtOnce"; });

}  // namespace
}  // namespace octavo
