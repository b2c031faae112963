// The tokens of a request do not depend on its neighbours.
//
// Two hundred requests with random lengths, parameters, seeds and cancellations share a pool so
// small that sequences are preempted; each output that survives must equal, bit for bit, what the
// same request gives alone in an engine of its own.
#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <random>
#include <string_view>
#include <thread>

#include "backend/cuda/create_cuda_backend.h"
#include "engine_ahead.h"
#include "random_requests.h"

namespace octavo {
namespace {

constexpr int kRequests = 200;
constexpr uint32_t kSeed = 20260801;

struct Case {
  const char* model;
  const char* kv_dtype;
  const char* device = "cpu";
  bool runs_ahead = false;  // by itself; a GPU does in any case
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.model << ", " << c.kv_dtype << ", " << c.device << (c.runs_ahead ? ", ahead" : "");
}

EngineConfig config_of(const Case& c, int threads) {
  EngineConfig config;
  config.model_path = golden_model(c.model);
  config.kv_dtype = c.kv_dtype;
  config.device = c.device;
  config.deterministic = true;
  config.threads = threads;
  return config;
}

// A pool that holds the largest of the requests and little more.
int64_t tight_kv_memory(const Case& c) {
  const EngineStats stats = make_engine(config_of(c, 1))->stats();
  const int64_t groups = std::string_view(c.model) == "gemma3" ? 7 : 1;
  // Running ahead, sequences wait for the blocks of a step in flight rather than preempt others.
  return (c.runs_ahead ? 9 : 10) * groups * stats.block_bytes;
}

class Independence : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (GetParam().device == std::string_view("cuda") && cuda::device_count() == 0) {
      GTEST_SKIP() << "no CUDA device";
    }
  }
};

TEST_P(Independence, CrowdedEqualsAlone) {
  std::vector<Request> requests;
  std::vector<std::vector<OutputRecord>> alone;
  {
    EngineConfig config = config_of(GetParam(), 1);
    config.prefix_cache = false;
    auto engine = make_engine(config);
    requests = random_requests(kSeed, engine->model().vocabulary, kRequests);
    for (const Request& request : requests) alone.push_back(run_to_end(*engine, request));
  }
  const int64_t kv_memory = tight_kv_memory(GetParam());
  for (const int threads : {1, 2, 3}) {
    EngineConfig config = config_of(GetParam(), threads);
    config.kv_memory_bytes = kv_memory;
    config.batch_tokens = 24 + threads;  // prompts come in chunks, cut elsewhere each time
    auto engine = GetParam().runs_ahead ? make_engine_ahead(config) : make_engine(config);
    std::mt19937 random(static_cast<uint32_t>(threads));
    std::vector<std::unique_ptr<Stream>> streams;
    for (const Request& request : requests) {
      auto stream = engine->submit(request);
      ASSERT_TRUE(stream.ok()) << stream.error().message;
      streams.push_back(std::move(stream).value());
    }
    int compared = 0;
    for (size_t i = 0; i < requests.size(); ++i) {
      std::vector<OutputRecord> outputs(static_cast<size_t>(requests[i].outputs));
      const bool cancelled = random() % 6 == 0;
      uint32_t events_left = cancelled ? static_cast<uint32_t>(random() % 4) : ~0U;
      if (events_left == 0) streams[i]->cancel();
      while (auto event = streams[i]->next()) {
        record(*event, outputs);
        if (--events_left == 0) streams[i]->cancel();
      }
      for (size_t k = 0; k < outputs.size(); ++k) {
        const OutputRecord& whole = alone[i][k];
        OutputRecord& mine = outputs[k];
        ASSERT_NE(mine.finish, FinishReason::none);
        if (mine.finish == FinishReason::cancelled) {
          EXPECT_TRUE(cancelled) << "request " << i;
          // What came before the end is a part of the whole all the same.
          ASSERT_LE(mine.tokens.size(), whole.tokens.size());
          EXPECT_TRUE(std::equal(mine.tokens.begin(), mine.tokens.end(), whole.tokens.begin()));
          EXPECT_TRUE(whole.text.starts_with(mine.text));
          continue;
        }
        ASSERT_EQ(mine, whole) << "request " << i << " output " << k << " threads " << threads
                               << " seed " << kSeed;
        ++compared;
      }
    }
    EXPECT_GT(compared, kRequests / 2);
    const EngineStats stats = engine->stats();
    EXPECT_GT(stats.preemptions, 0) << "the pool was not tight enough to show anything";
    EXPECT_GT(stats.prefix_hit_tokens, 0);
  }
}

std::string name_of(const testing::TestParamInfo<Case>& test) {
  return std::string(test.param.model) + "_" + test.param.kv_dtype;
}

INSTANTIATE_TEST_SUITE_P(Models, Independence,
                         testing::Values(Case{"llama", "f16"}, Case{"llama_q4_1", "f16"},
                                         Case{"qwen3", "f16"}, Case{"gemma3", "f16"},
                                         Case{"qwen3", "q8_0"}, Case{"qwen3", "iq4_nl"}),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Ahead, Independence,
                         testing::Values(Case{"llama", "f32", "cpu", true},
                                         Case{"gemma3", "f16", "cpu", true},
                                         Case{"qwen3", "q8_0", "cpu", true}),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Cuda, Independence,
                         testing::Values(Case{"llama", "f32", "cuda"},
                                         Case{"llama_q4_1", "f16", "cuda"},
                                         Case{"qwen3", "bf16", "cuda"},
                                         Case{"gemma3", "f16", "cuda"}),
                         name_of);

}  // namespace
}  // namespace octavo
