// Sequences that share blocks have attention over the shared part computed together. That must not
// change a bit: the same requests, in the same steps, with blocks of their own and with shared
// ones.
#include <gtest/gtest.h>

#include <ostream>

#include "engine_run.h"

namespace octavo {
namespace {

struct Case {
  const char* model;
  const char* kv_dtype;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.model << ", " << c.kv_dtype;
}

// `count` tokens that depend on `seed`.
void append(std::vector<int32_t>& prompt, int32_t seed, int32_t count) {
  for (int32_t i = 0; i < count; ++i) prompt.push_back(3 + (seed * 37 + i * i + 5 * i) % 200);
}

constexpr int32_t kCommon = 16 * 19;  // more than a segment of 256, and not a multiple of one
constexpr int32_t kBranch = 16 * 3;
constexpr int32_t kBranches = 3;
constexpr int32_t kLeaves = 4;  // of each branch

// A tree: all begin alike, those of a branch go on alike.
std::vector<Request> tree() {
  std::vector<Request> requests;
  for (int32_t i = 0; i < kBranches * kLeaves; ++i) {
    std::vector<int32_t> prompt;
    append(prompt, 1, kCommon);
    append(prompt, 10 + i % kBranches, kBranch);
    append(prompt, 100 + i, 1 + i);
    Request request = greedy(prompt, 30);
    request.sampling.temperature = 0.8F;
    request.sampling.seed = static_cast<uint64_t>(i);
    request.sampling.logprobs = 1;
    requests.push_back(request);
  }
  return requests;
}

using Records = std::vector<std::vector<OutputRecord>>;

Records run_together(Engine& engine, const std::vector<Request>& requests) {
  std::vector<std::unique_ptr<Stream>> streams;
  streams.reserve(requests.size());
  for (const Request& request : requests) streams.push_back(std::move(*engine.submit(request)));
  Records records;
  for (size_t i = 0; i < requests.size(); ++i) {
    auto& outputs = records.emplace_back(static_cast<size_t>(requests[i].outputs));
    while (auto event = streams[i]->next()) record(*event, outputs);
  }
  return records;
}

class Sharing : public testing::TestWithParam<Case> {
 protected:
  static EngineConfig config(bool prefix_cache, int64_t batch_tokens = 512) {
    EngineConfig config = golden_config(GetParam().model);
    config.kv_dtype = GetParam().kv_dtype;
    config.prefix_cache = prefix_cache;
    config.batch_tokens = batch_tokens;
    return config;
  }
};

TEST_P(Sharing, ATreeOfPromptsGivesTheBitsOfUnsharedOnes) {
  const std::vector<Request> requests = tree();
  auto unshared = make_engine(config(false));
  const Records expected = run_together(*unshared, requests);
  EXPECT_EQ(unshared->stats().prefix_hit_tokens, 0);
  for (const int64_t batch_tokens : {7, 64, 4096}) {
    SCOPED_TRACE("batch_tokens " + std::to_string(batch_tokens));
    auto shared = make_engine(config(true, batch_tokens));
    EXPECT_EQ(run_together(*shared, requests), expected);
    // The cache was empty: what was found are blocks of the others, who still run.
    const int64_t found = shared->stats().prefix_hit_tokens;
    EXPECT_GE(found, (kBranches * kLeaves - 1) * kCommon + kBranches * (kLeaves - 1) * kBranch);
  }
}

// The outputs of one request share its prompt. The first is what the request with one output gives.
TEST_P(Sharing, OutputsOfOnePromptGiveTheBitsOfASingleOne) {
  Request request = tree().front();
  const std::vector<OutputRecord> single = run_to_end(*make_engine(config(false)), request);
  request.outputs = 24;
  const std::vector<OutputRecord> many = run_to_end(*make_engine(config(false)), request);
  EXPECT_EQ(many.front(), single.front());
  EXPECT_EQ(run_to_end(*make_engine(config(true, 9)), request), many);
}

INSTANTIATE_TEST_SUITE_P(Models, Sharing,
                         testing::Values(Case{"llama", "f16"}, Case{"gemma3", "f32"},
                                         Case{"qwen3", "bf16"}, Case{"qwen3", "q8_0"},
                                         Case{"qwen3", "iq4_nl"}),
                         [](const auto& test) {
                           return std::string(test.param.model) + "_" + test.param.kv_dtype;
                         });

}  // namespace
}  // namespace octavo
