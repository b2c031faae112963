// Everything at once, at random: pools, tiers, chunk sizes, restarts, cancellations, idle times and
// requests of every kind. What a request gives must be, bit for bit, what it gives alone in a calm
// engine.
//
// Some rounds run with the other tests. OCTAVO_TEST_SOAK=SECONDS goes on for that long;
// OCTAVO_TEST_SEED=N begins with another seed.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "engine_run.h"
#include "random_requests.h"
#include "scratch_folder.h"

namespace octavo {
namespace {

constexpr int kRounds = 6;
constexpr int kRequests = 40;

class Random {
 public:
  explicit Random(uint32_t seed) : random_(seed) {}
  uint32_t up_to(uint32_t n) { return static_cast<uint32_t>(random_() % n); }
  bool one_in(uint32_t n) { return up_to(n) == 0; }
  template <class T, size_t n>
  T pick(const T (&all)[n]) {
    return all[up_to(n)];
  }
  uint32_t next() { return static_cast<uint32_t>(random_()); }

 private:
  std::mt19937 random_;
};

// What random_requests() leaves out.
void add_kinds(std::vector<Request>& requests, Random& random) {
  for (Request& request : requests) {
    if (random.one_in(4)) request.cache_salt = random.one_in(2) ? "one" : "another";
    request.cache_priority = static_cast<int32_t>(random.up_to(4));
    request.cache_ttl_seconds = random.one_in(3) ? 1 : 0;
    if (request.beam) continue;
    if (random.one_in(4)) request.sampling.stop = {"e", "the"};
    if (random.one_in(8)) {
      request.prompt.push_back(5);
      Request scored{.prompt = request.prompt, .priority = request.priority};
      scored.score_prompt = true;
      scored.sampling.logprobs = 2;
      request = scored;
    }
  }
}

// A pool that holds the largest of the requests and little more, or plenty.
EngineConfig random_config(const EngineConfig& calm, int64_t block_bytes, Random& random,
                           const std::string& disk) {
  EngineConfig config = calm;
  const int64_t groups = calm.model_path.find("gemma3") != std::string::npos ? 7 : 1;
  config.prefix_cache = !random.one_in(4);
  config.kv_memory_bytes = static_cast<int64_t>(10 + random.up_to(30)) * groups * block_bytes;
  if (random.one_in(2)) {
    config.kv_host_memory_bytes = static_cast<int64_t>(1 + random.up_to(30)) * groups * block_bytes;
  }
  if (config.prefix_cache && random.one_in(3)) {  // the disk keeps nothing else
    config.kv_disk = disk;
    config.kv_disk_bytes = int64_t{4} << 20;
  }
  config.batch_tokens = random.pick({8, 16, 64, 512});
  config.max_sequences = random.pick({8, 32, 256});
  config.threads = 1 + random.up_to(3);
  config.kv_idle_seconds = 1;
  return config;
}

// Some are cancelled, on the way or before; what was read until then is part of the whole.
void compare(Engine& engine, const std::vector<Request>& requests,
             const std::vector<std::vector<OutputRecord>>& alone, Random& random) {
  std::vector<std::unique_ptr<Stream>> streams;
  for (const Request& request : requests) {
    auto stream = engine.submit(request);
    ASSERT_TRUE(stream.ok()) << stream.error().message;
    streams.push_back(std::move(stream).value());
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    std::vector<OutputRecord> outputs(static_cast<size_t>(requests[i].outputs));
    const bool cancelled = random.one_in(6);
    uint32_t events_left = cancelled ? random.up_to(4) : ~0U;
    if (events_left == 0) streams[i]->cancel();
    while (auto event = streams[i]->next()) {
      record(*event, outputs);
      if (--events_left == 0) streams[i]->cancel();
    }
    for (size_t k = 0; k < outputs.size(); ++k) {
      if (outputs[k].finish != FinishReason::cancelled) {
        ASSERT_EQ(outputs[k], alone[i][k]) << "request " << i << " output " << k;
      } else {
        ASSERT_TRUE(cancelled) << "request " << i;
        ASSERT_TRUE(alone[i][k].text.starts_with(outputs[k].text)) << "request " << i;
      }
    }
  }
}

void run_round(uint32_t seed) {
  SCOPED_TRACE("OCTAVO_TEST_SEED=" + std::to_string(seed));
  Random random(seed);
  EngineConfig calm = golden_config(random.pick({"llama", "gemma3", "qwen3", "llama_q4_1"}));
  calm.kv_dtype = random.pick({"f32", "f16", "bf16"});
  std::vector<Request> requests;
  std::vector<std::vector<OutputRecord>> alone;
  int64_t block_bytes = 0;
  {
    EngineConfig config = calm;
    config.prefix_cache = false;
    auto engine = make_engine(config);
    block_bytes = engine->stats().block_bytes;
    requests = random_requests(random.next(), engine->model().vocabulary, kRequests);
    add_kinds(requests, random);
    for (const Request& request : requests) alone.push_back(run_to_end(*engine, request));
  }
  const ScratchFolder folder;
  const EngineConfig config = random_config(calm, block_bytes, random, folder.path("kv.disk"));
  auto engine = make_engine(config);
  for (int pass = 0; pass < 3; ++pass) {
    ASSERT_NO_FATAL_FAILURE(compare(*engine, requests, alone, random));
    if (random.one_in(3)) engine = nullptr;  // what is on the disk, the next one finds
    if (random.one_in(6)) std::this_thread::sleep_for(std::chrono::milliseconds(1200));
    if (!engine) engine = make_engine(config);
  }
}

int64_t number_of(const char* variable, int64_t fallback) {
  const char* text = std::getenv(variable);
  return text == nullptr ? fallback : std::strtoll(text, nullptr, 10);
}

TEST(Soak, WhateverHappensARequestGivesWhatItGivesAlone) {
  const auto end =
      std::chrono::steady_clock::now() + std::chrono::seconds(number_of("OCTAVO_TEST_SOAK", 0));
  auto seed = static_cast<uint32_t>(number_of("OCTAVO_TEST_SEED", 20261125));
  for (int round = 0; round < kRounds || std::chrono::steady_clock::now() < end; ++round) {
    ASSERT_NO_FATAL_FAILURE(run_round(seed++));
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace octavo
