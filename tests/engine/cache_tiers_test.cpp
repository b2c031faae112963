// The tiers of the KV cache through the engine: wherever a block was meanwhile, the tokens are the
// same bits; what is found, and by whom.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <random>
#include <thread>

#include "backend/cuda/create_cuda_backend.h"
#include "engine_run.h"
#include "scratch_folder.h"

namespace octavo {
namespace {

constexpr uint32_t kSeed = 20261125;

int64_t groups_of(const std::string& model) {
  return model == "gemma3" ? 7 : 1;
}

int64_t block_bytes_of(const std::string& model) {
  return make_engine(golden_config(model))->stats().block_bytes;
}

std::vector<int32_t> random_tokens(uint32_t seed, size_t count) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens(count);
  for (int32_t& token : tokens) token = static_cast<int32_t>(3 + random() % 200);
  return tokens;
}

// Requests of which many begin alike, some of them inside a block.
std::vector<Request> some_requests() {
  std::mt19937 random(kSeed);
  const std::vector<int32_t> common = random_tokens(1, 40);
  std::vector<Request> requests;
  for (uint32_t i = 0; i < 20; ++i) {
    Request request = greedy(random_tokens(100 + i, 1 + random() % 30), 10 + i);
    if (i % 2 == 0) {
      const auto count = static_cast<std::ptrdiff_t>(5 + random() % 36);
      request.prompt.insert(request.prompt.begin(), common.begin(), common.begin() + count);
    }
    request.sampling.temperature = i % 3 == 0 ? 0.0F : 0.9F;
    request.sampling.seed = i;
    request.sampling.logprobs = 1;
    request.outputs = i % 5 == 0 ? 3 : 1;
    requests.push_back(request);
  }
  return requests;
}

using Records = std::vector<std::vector<OutputRecord>>;

Records run_alone(Engine& engine, const std::vector<Request>& requests) {
  Records records;
  for (const Request& request : requests) records.push_back(run_to_end(engine, request));
  return records;
}

Records run_together(Engine& engine, const std::vector<Request>& requests) {
  std::vector<std::unique_ptr<Stream>> streams;
  streams.reserve(requests.size());
  for (const Request& request : requests) {
    streams.push_back(std::move(*engine.submit(request)));
  }
  Records records;
  for (size_t i = 0; i < requests.size(); ++i) {
    std::vector<OutputRecord>& outputs = records.emplace_back(requests[i].outputs);
    while (auto event = streams[i]->next()) record(*event, outputs);
  }
  return records;
}

// The disk tier is at work only once it has read the model.
void wait_for_disk(const Engine& engine) {
  for (int i = 0; i < 1000 && engine.stats().disk_blocks == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ASSERT_GT(engine.stats().disk_blocks, 0);
}

class CacheTiersTest : public testing::TestWithParam<std::string> {
 protected:
  EngineConfig config() const { return golden_config(GetParam()); }
  EngineConfig disk_config() const {
    EngineConfig config = golden_config(GetParam());
    config.kv_disk = path_;
    return config;
  }
  Records expected(const std::vector<Request>& requests) const {
    EngineConfig plain = config();
    plain.prefix_cache = false;
    return run_alone(*make_engine(plain), requests);
  }

  ScratchFolder folder_;
  const std::string path_ = folder_.path("kv.cache");
};

TEST_P(CacheTiersTest, TheSameTokensWhereverABlockWas) {
  const std::vector<Request> requests = some_requests();
  const Records alone = expected(requests);
  const int64_t block_bytes = block_bytes_of(GetParam());
  // Little more than the largest request needs; windows need less.
  const int64_t tight = (GetParam() == "gemma3" ? 35 : 10) * block_bytes;
  int64_t recomputed[2] = {};  // by whether there is a prefix cache
  int64_t swapped[2] = {};
  int64_t swapped_in[2] = {};
  for (const int64_t batch_tokens : {1, 7, 16, 64, 4096}) {
    SCOPED_TRACE("batch_tokens " + std::to_string(batch_tokens));
    for (const bool prefix_cache : {false, true}) {
      SCOPED_TRACE(prefix_cache ? "with the prefix cache" : "without the prefix cache");
      EngineConfig config = this->config();
      config.batch_tokens = batch_tokens;
      config.prefix_cache = prefix_cache;
      EXPECT_EQ(run_together(*make_engine(config), requests), alone);
      config.kv_memory_bytes = tight;
      {
        auto engine = make_engine(config);
        EXPECT_EQ(run_together(*engine, requests), alone) << "recomputed";
        recomputed[prefix_cache] += engine->stats().preemptions;
        EXPECT_EQ(engine->stats().swap_preemptions, 0);
      }
      config.kv_host_memory_bytes = 64 * groups_of(GetParam()) * block_bytes;
      {
        auto engine = make_engine(config);
        EXPECT_EQ(run_together(*engine, requests), alone) << "swapped";
        EXPECT_EQ(run_together(*engine, requests), alone) << "swapped, again";
        const EngineStats stats = engine->stats();
        swapped[prefix_cache] += stats.swap_preemptions;
        swapped_in[prefix_cache] += stats.blocks_swapped_in;
      }
      config.kv_host_memory_bytes = 3 * groups_of(GetParam()) * block_bytes;  // always full
      EXPECT_EQ(run_together(*make_engine(config), requests), alone) << "swapped, with little room";
    }
  }
  for (const bool prefix_cache : {false, true}) {
    EXPECT_GT(recomputed[prefix_cache], 0) << "the pool was not tight enough to show anything";
    EXPECT_GT(swapped[prefix_cache], 0);
    EXPECT_GT(swapped_in[prefix_cache], 0);
  }
}

TEST_P(CacheTiersTest, TheDiskSurvivesARestart) {
  const std::vector<Request> requests = some_requests();
  const Records alone = expected(requests);
  int64_t computed = 0;
  {
    auto engine = make_engine(disk_config());
    EXPECT_EQ(run_together(*engine, requests), alone);
    computed = engine->stats().prompt_tokens;
  }
  for (int restart = 0; restart < 2; ++restart) {
    auto engine = make_engine(disk_config());
    wait_for_disk(*engine);
    EXPECT_EQ(run_together(*engine, requests), alone);
    const EngineStats stats = engine->stats();
    EXPECT_GT(stats.disk_blocks_read, 0);
    EXPECT_LT(stats.prompt_tokens, computed / 2);
  }
}

TEST_P(CacheTiersTest, WhatLeavesTheHostTierIsFoundOnDisk) {
  EngineConfig config = disk_config();
  const int64_t block_bytes = block_bytes_of(GetParam());
  config.kv_memory_bytes = 12 * groups_of(GetParam()) * block_bytes;
  config.kv_host_memory_bytes = 16 * groups_of(GetParam()) * block_bytes;
  std::vector<Request> requests;
  for (uint32_t i = 0; i < 20; ++i) requests.push_back(greedy(random_tokens(i, 70), 1));
  const Records alone = expected(requests);
  auto engine = make_engine(config);
  EXPECT_EQ(run_alone(*engine, requests), alone);
  // Figures are published after the step, blocks are stored some time later.
  const auto settled = [&engine](int64_t requests_looked_up) {
    EngineStats stats = engine->stats();
    for (int i = 0; i < 1000; ++i, stats = engine->stats()) {
      if (stats.prefix_query_tokens == 70 * requests_looked_up && stats.disk_blocks_stored >= 60) {
        break;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return stats;
  };
  const EngineStats before = settled(20);
  EXPECT_EQ(run_alone(*engine, {requests[0]})[0], alone[0]);
  const EngineStats after = settled(21);
  EXPECT_GT(after.disk_blocks_read, 0);
  // The whole prompt but for its last token was found, the block that is not full too.
  EXPECT_EQ(after.prefix_hit_tokens - before.prefix_hit_tokens, 69);
  EXPECT_EQ(run_together(*engine, requests), alone);
}

// The last generated token is sampled and never computed; all before it is found.
TEST_P(CacheTiersTest, TheNextTurnFindsTheWholeLastOne) {
  const Request first = greedy(random_tokens(1, 37), 20);
  Request second = first;
  const auto next_turn_hits = [&second, this](Engine& engine) {
    const int64_t before = engine.stats().prefix_hit_tokens;
    EXPECT_EQ(run_to_end(engine, second), expected({second})[0]);
    return engine.stats().prefix_hit_tokens - before;
  };
  {
    auto engine = make_engine(disk_config());
    const std::vector<int32_t> answer = run_to_end(*engine, first)[0].tokens;
    second.prompt.insert(second.prompt.end(), answer.begin(), answer.end());
  }
  for (const int32_t token : random_tokens(2, 9)) second.prompt.push_back(token);
  {
    auto engine = make_engine(config());
    run_to_end(*engine, first);
    EXPECT_EQ(next_turn_hits(*engine), 37 + 20 - 1);
  }
  auto engine = make_engine(disk_config());
  wait_for_disk(*engine);
  EXPECT_EQ(next_turn_hits(*engine), 37 + 20 - 1) << "from the disk";
}

TEST_P(CacheTiersTest, SaltsNeverMeet) {
  Request request = greedy(random_tokens(1, 64), 4);
  const Records alone = expected({request});
  const auto hits = [&](Engine& engine, const std::string& salt) {
    request.cache_salt = salt;
    const int64_t before = engine.stats().prefix_hit_tokens;
    EXPECT_EQ(run_to_end(engine, request), alone[0]);
    return engine.stats().prefix_hit_tokens - before;
  };
  {
    auto engine = make_engine(disk_config());
    EXPECT_EQ(hits(*engine, "alice"), 0);
    EXPECT_EQ(hits(*engine, "bob"), 0);
    EXPECT_EQ(hits(*engine, ""), 0);
    EXPECT_EQ(hits(*engine, "alice"), 63);
    EXPECT_EQ(hits(*engine, "bob"), 63);
    EXPECT_EQ(hits(*engine, ""), 63);
  }
  auto engine = make_engine(disk_config());  // through the disk neither
  wait_for_disk(*engine);
  EXPECT_EQ(hits(*engine, "mallory"), 0);
  EXPECT_EQ(engine->stats().disk_blocks_read, 0);
  EXPECT_EQ(hits(*engine, "alice"), 63);
  EXPECT_GT(engine->stats().disk_blocks_read, 0);
}

TEST_P(CacheTiersTest, ADamagedFileGivesTheSameTokens) {
  const std::vector<Request> requests = some_requests();
  const Records alone = expected(requests);
  {
    auto engine = make_engine(disk_config());
    EXPECT_EQ(run_together(*engine, requests), alone);
  }
  {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    std::mt19937 random(kSeed);
    const auto size = std::filesystem::file_size(path_);
    for (int i = 0; i < 40; ++i) {
      file.seekp(static_cast<std::streamoff>(4096 + random() % (size - 4096)));
      file.put(static_cast<char>(random()));
    }
  }
  auto engine = make_engine(disk_config());
  wait_for_disk(*engine);
  EXPECT_EQ(run_together(*engine, requests), alone);
}

INSTANTIATE_TEST_SUITE_P(Models, CacheTiersTest, testing::Values("llama", "qwen3", "gemma3"),
                         [](const auto& test) { return test.param; });

TEST(CacheTiersSettings, AreChecked) {
  const ScratchFolder folder;
  const auto error = [](const EngineConfig& config) {
    const auto engine = Engine::create(config);
    return engine ? "" : engine.error().message;
  };
  EngineConfig config = golden_config("llama");
  config.kv_host_memory_bytes = 5;
  EXPECT_NE(error(config).find("kv-host-memory: 5 bytes are less than one block"),
            std::string::npos);
  config = golden_config("llama");
  config.kv_disk = folder.path("kv.cache");
  config.prefix_cache = false;
  EXPECT_EQ(error(config), "kv-disk: it keeps cached prefixes, and prefix-cache is off");
  config.prefix_cache = true;
  config.kv_disk_bytes = 1000;
  EXPECT_NE(error(config).find("a limit of 1000 bytes"), std::string::npos);
  config.kv_disk_bytes = 0;
  const auto engine = make_engine(config);
  EXPECT_EQ(error(config), "kv-disk: " + config.kv_disk + ": another process uses it");
  config.kv_disk = "/nowhere/kv.cache";
  EXPECT_EQ(error(config), "kv-disk: /nowhere/kv.cache: No such file or directory");
}

// Until its end, this process gets `more_bytes` of address space beyond what it has.
class AddressLimit {
 public:
  explicit AddressLimit(rlim_t more_bytes) {
    EXPECT_EQ(getrlimit(RLIMIT_AS, &before_), 0);
    rlim_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlimit limit{pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + more_bytes,
                       before_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_AS, &limit), 0);
  }
  ~AddressLimit() { EXPECT_EQ(setrlimit(RLIMIT_AS, &before_), 0); }

 private:
  rlimit before_{};
};

TEST(CacheTiersSettings, MemoryThatCannotBeReservedIsNamed) {
  constexpr int64_t kGibibyte = int64_t{1} << 30;
  const auto error = [](int64_t kv_memory_bytes, int64_t host_memory_bytes) {
    EngineConfig config = golden_config("llama");
    config.kv_memory_bytes = kv_memory_bytes;
    config.kv_host_memory_bytes = host_memory_bytes;
    const AddressLimit limit(8 * kGibibyte);
    const auto engine = Engine::create(config);
    if (engine) return std::string("it could be reserved");
    EXPECT_EQ(engine.error().kind, ErrorKind::resource);
    return engine.error().message;
  };
  const std::string pool = error(64 * kGibibyte, kGibibyte);
  EXPECT_TRUE(pool.starts_with("kv-memory: cannot reserve ")) << pool;
  const std::string host = error(kGibibyte, 64 * kGibibyte);
  EXPECT_TRUE(host.starts_with("kv-host-memory: cannot reserve ")) << host;
}

TEST(CacheTiersDisk, AFullDiskFailsNoRequest) {
  const ScratchFolder folder;
  EngineConfig config = golden_config("llama");
  config.kv_disk = folder.path("kv.cache");
  config.kv_memory_bytes = 12 * block_bytes_of("llama");
  config.kv_host_memory_bytes = 4 * block_bytes_of("llama");
  const std::vector<Request> requests = some_requests();
  EngineConfig plain = golden_config("llama");
  const Records alone = run_alone(*make_engine(plain), requests);
  rlimit before = {};
  getrlimit(RLIMIT_FSIZE, &before);
  testing::internal::CaptureStderr();
  {
    auto engine = make_engine(config);
    const rlimit tight = {20000, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &tight);
    EXPECT_EQ(run_together(*engine, requests), alone);
  }
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "octavo: kv-disk: " + config.kv_disk +
                ": cannot be written: File too large; the disk tier is off\n");
}

// The file is bound to what computed its blocks, whatever that was called.
TEST(CacheTiersDisk, ADeviceMayHaveTwoNames) {
  const ScratchFolder folder;
  EngineConfig config = golden_config("llama");
  config.kv_disk = folder.path("kv.cache");
  const std::vector<Request> requests = some_requests();
  config.device = "auto";
  run_together(*make_engine(config), requests);
  config.device = cuda::device_count() > 0 ? "cuda:0" : "cpu";
  auto engine = make_engine(config);
  wait_for_disk(*engine);
  run_together(*engine, requests);
  EXPECT_GT(engine->stats().disk_blocks_read, 0);
}

// What is in the pool then, and what is in the host tier: a small pool has most of it there.
TEST(CacheTiersDisk, IdleMemoryGoesToTheDisk) {
  for (const int64_t pool_blocks : {1000, 8}) {
    SCOPED_TRACE(std::to_string(pool_blocks) + " blocks in the pool");
    const ScratchFolder folder;
    EngineConfig config = golden_config("llama");
    config.kv_disk = folder.path("kv.cache");
    config.kv_idle_seconds = 1;
    config.kv_memory_bytes = pool_blocks * block_bytes_of("llama");
    config.kv_host_memory_bytes = 64 * block_bytes_of("llama");
    auto engine = make_engine(config);
    std::vector<Request> requests;
    for (uint32_t i = 0; i < 5; ++i) requests.push_back(greedy(random_tokens(i, 64), 4));
    const Records first = run_alone(*engine, requests);
    EngineStats stats = engine->stats();
    EXPECT_EQ(stats.blocks_swapped_out > 0, pool_blocks == 8);
    const auto is_idle = [](const EngineStats& now) {
      return now.blocks_uncommitted == now.blocks_total && now.host_blocks_used == 0;
    };
    for (int i = 0; i < 200 && !is_idle(stats); ++i, stats = engine->stats()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    EXPECT_TRUE(is_idle(stats));
    EXPECT_EQ(stats.blocks_cached, 0);
    wait_for_disk(*engine);
    EXPECT_EQ(run_alone(*engine, requests), first);
    EXPECT_GE(engine->stats().disk_blocks_read, 5 * 4);
    EXPECT_EQ(engine->stats().prefix_hit_tokens, 5 * 63) << "all but the last token of each";
  }
}

}  // namespace
}  // namespace octavo
