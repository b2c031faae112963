// Embeddings: what they are made of, and that nothing beside them changes a bit of one.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "engine_run.h"
#include "pooled_model.h"

namespace octavo {
namespace {

Request embed(std::vector<int32_t> prompt, int32_t priority = 0) {
  Request request;
  request.prompt = std::move(prompt);
  request.priority = priority;
  request.embed = true;
  return request;
}

std::vector<int32_t> random_tokens(std::mt19937& random, size_t count) {
  std::vector<int32_t> tokens(count);
  for (int32_t& token : tokens) token = static_cast<int32_t>(random() % 60);
  return tokens;
}

std::vector<float> embedding_of(Engine& engine, const std::vector<int32_t>& prompt) {
  return run_to_end(engine, embed(prompt))[0].embedding;
}

// With everything that an event has told of.
EngineStats settled_stats(const Engine& engine) {
  engine.cache_snapshot();  // waits for the step in progress
  return engine.stats();
}

std::string refusal(Engine& engine, const Request& request) {
  const auto stream = engine.submit(request);
  return stream ? "accepted" : stream.error().message;
}

// --- what they are made of ---

struct Golden {
  nlohmann::json json;
  std::vector<int32_t> tokens;
  std::vector<float> logits;  // [tokens, vocabulary]
};

Golden load_golden(const std::string& name) {
  const std::filesystem::path folder = std::filesystem::path(OCTAVO_TEST_DATA) / "golden";
  Golden golden;
  std::ifstream(folder / (name + ".json")) >> golden.json;
  golden.tokens = golden.json.at("token_ids").get<std::vector<int32_t>>();
  const std::filesystem::path path = folder / golden.json.at("logits").get<std::string>();
  golden.logits.resize(std::filesystem::file_size(path) / sizeof(float));
  std::ifstream(path, std::ios::binary)
      .read(reinterpret_cast<char*>(golden.logits.data()),
            static_cast<std::streamsize>(golden.logits.size() * sizeof(float)));
  return golden;
}

struct Case {
  const char* model;
  uint32_t pooling_type;
};

class EmbeddingGolden : public testing::TestWithParam<Case> {};

// The output matrix, which has more rows than columns, makes the logits of a hidden state. So the
// embedding is the right one exactly if the matrix makes of it what it makes of the states pooled:
// the logits pooled, of which transformers computed those of every position in float64.
TEST_P(EmbeddingGolden, TheOutputMatrixMakesThePooledLogitsOfIt) {
  const auto& [model, pooling_type] = GetParam();
  const Golden golden = load_golden(model);
  const PooledModel pooled(model, pooling_type);
  EngineConfig config = pooled.config();
  config.kv_dtype = "f32";
  const std::vector<float> embedding = embedding_of(*make_engine(config), golden.tokens);

  const auto file = gguf::File::open(golden_model(model));
  const gguf::TensorInfo* matrix = file->find_tensor("output.weight");
  if (matrix == nullptr) matrix = file->find_tensor("token_embd.weight");
  ASSERT_EQ(matrix->type, DType::f32);
  ASSERT_EQ(matrix->dims[0], embedding.size());
  ASSERT_GT(matrix->dims[1], matrix->dims[0]) << "other states could have the same logits";
  const auto* weights = reinterpret_cast<const float*>(matrix->data);
  const size_t vocabulary = matrix->dims[1];
  const size_t positions = golden.tokens.size();
  const size_t first = pooling_type == kMean ? 0 : positions - 1;
  double squares = 0.0;
  for (size_t token = 0; token < vocabulary; ++token) {
    double found = 0.0;
    for (size_t i = 0; i < embedding.size(); ++i) {
      found += static_cast<double>(weights[token * embedding.size() + i]) * embedding[i];
    }
    double expected = 0.0;
    for (size_t p = first; p < positions; ++p) {
      expected += golden.logits[p * vocabulary + token] / static_cast<double>(positions - first);
    }
    squares += (found - expected) * (found - expected);
  }
  // As for the logits themselves (golden_logits_test.cpp).
  const double tolerance =
      4.0 * golden.json.at("error_of_transformers_float32").at("rms").get<double>();
  EXPECT_LE(std::sqrt(squares / static_cast<double>(vocabulary)), tolerance);
}

INSTANTIATE_TEST_SUITE_P(Models, EmbeddingGolden,
                         testing::Values(Case{"llama", kMean}, Case{"llama", kLast},
                                         Case{"llama", kNone}, Case{"qwen2", kMean},
                                         Case{"qwen3", kLast}, Case{"gemma3", kMean},
                                         Case{"gemma3", kLast}),
                         [](const auto& test) {
                           return std::string(test.param.model) + "_" +
                                  std::to_string(test.param.pooling_type);
                         });

TEST(Embedding, TheModelSaysHowItPools) {
  EXPECT_EQ(make_engine(golden_config("llama"))->model().pooling, Pooling::last);
  EXPECT_EQ(make_engine(golden_config("llama"))->model().embedding_size, 64);
  const std::map<uint32_t, Pooling> kinds = {{kNone, Pooling::last},
                                             {kMean, Pooling::mean},
                                             {kCls, Pooling::cls},
                                             {kLast, Pooling::last},
                                             {kRank, Pooling::rank}};
  for (const auto& [type, pooling] : kinds) {
    const PooledModel model("llama", type);
    EXPECT_EQ(make_engine(model.config())->model().pooling, pooling);
  }
  const PooledModel odd("llama", 5);
  const auto engine = Engine::create(odd.config());
  ASSERT_FALSE(engine.ok());
  EXPECT_TRUE(engine.error().message.ends_with("key 'llama.pooling_type': 5 is no kind of pooling"))
      << engine.error().message;
}

// --- that nothing changes them ---

// Prompts that begin alike, so that there is something to find in the cache.
std::vector<std::vector<int32_t>> prompts_of_a_crowd(std::mt19937& random) {
  const std::vector<int32_t> common = random_tokens(random, 48);
  std::vector<std::vector<int32_t>> prompts;
  for (int i = 0; i < 24; ++i) {
    std::vector<int32_t> prompt = random_tokens(random, 1 + random() % 60);
    if (i % 2 == 0) prompt.insert(prompt.begin(), common.begin(), common.end());
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

class EmbeddingIndependence : public testing::TestWithParam<Case> {};

// In chunks, beside each other and beside requests that generate and push them out of a small pool.
TEST_P(EmbeddingIndependence, CrowdedEqualsAlone) {
  constexpr uint32_t kSeed = 20261125;
  std::mt19937 random(kSeed);
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  const PooledModel model(GetParam().model, GetParam().pooling_type);
  const auto prompts = prompts_of_a_crowd(random);
  EngineConfig config = model.config();
  config.prefix_cache = false;
  auto calm = make_engine(config);
  std::vector<std::vector<float>> alone;
  alone.reserve(prompts.size());
  for (const auto& prompt : prompts) alone.push_back(embedding_of(*calm, prompt));
  Request neighbour = greedy(random_tokens(random, 30), 50);
  neighbour.outputs = 3;
  const std::vector<OutputRecord> text = run_to_end(*calm, neighbour);
  // Little more than the largest needs, of a global group and six with a window.
  const int64_t blocks = calm->model().architecture == "gemma3" ? 70 : 14;

  config = model.config();
  config.kv_memory_bytes = blocks * calm->stats().block_bytes;
  for (const int threads : {1, 2, 3}) {
    config.threads = threads;
    config.batch_tokens = 11 + threads;  // chunks that end elsewhere each time
    auto engine = make_engine(config);
    std::vector<std::unique_ptr<Stream>> embeddings;
    std::vector<std::unique_ptr<Stream>> texts;
    for (const auto& prompt : prompts) {
      embeddings.push_back(std::move(*engine->submit(embed(prompt, /*priority=*/1))));
      // It comes later and is served first.
      texts.push_back(std::move(*engine->submit(neighbour)));
    }
    for (size_t i = 0; i < prompts.size(); ++i) {
      std::vector<OutputRecord> outputs(1);
      while (auto event = embeddings[i]->next()) record(*event, outputs);
      EXPECT_EQ(outputs[0].finish, FinishReason::stop);
      EXPECT_EQ(outputs[0].embedding, alone[i]) << i << ", threads " << threads;
      EXPECT_TRUE(outputs[0].tokens.empty());
      std::vector<OutputRecord> generated(text.size());
      while (auto event = texts[i]->next()) record(*event, generated);
      EXPECT_EQ(generated, text);
    }
    const EngineStats stats = settled_stats(*engine);
    EXPECT_GT(stats.preemptions, 0) << "the pool was not tight enough to show anything";
    EXPECT_EQ(stats.generated_tokens, static_cast<int64_t>(3 * 50 * prompts.size()));
  }
}

INSTANTIATE_TEST_SUITE_P(Models, EmbeddingIndependence,
                         testing::Values(Case{"llama", kMean}, Case{"llama", kLast},
                                         Case{"llama_q4_1", kMean}, Case{"gemma3", kMean},
                                         Case{"gemma3", kLast}),
                         [](const auto& test) {
                           return std::string(test.param.model) + "_" +
                                  std::to_string(test.param.pooling_type);
                         });

// Outputs that were there before it grow and take its room, while its prompt is computed little by
// little; what is computed a second time is added once.
TEST(Embedding, AMeanHasEachPositionOnceThoughItIsPreempted) {
  std::mt19937 random(5);
  const PooledModel model("llama", kMean);
  const Request request = embed(random_tokens(random, 120), /*priority=*/1);
  Request growing = greedy(random_tokens(random, 16), 64);
  growing.outputs = 4;
  EngineConfig config = model.config();
  const OutputRecord alone = run_to_end(*make_engine(config), request)[0];
  config.batch_tokens = 6;  // at first 2 of them for the embedding, and the outputs' next tokens
  config.kv_memory_bytes = 21 * make_engine(config)->stats().block_bytes;
  auto engine = make_engine(config);
  const auto text = std::move(*engine->submit(growing));
  EXPECT_EQ(run_to_end(*engine, request)[0], alone);
  EXPECT_GT(settled_stats(*engine).prompt_tokens, 16 + 120) << "nothing was computed again";
}

TEST(Embedding, OfTheLastPositionShareTheCacheWithText) {
  std::mt19937 random(1);
  auto engine = make_engine(golden_config("llama"));
  const std::vector<int32_t> prompt = random_tokens(random, 64);
  run_to_end(*engine, greedy(prompt, 1));
  const int64_t before = settled_stats(*engine).prompt_tokens;
  const std::vector<float> found = embedding_of(*engine, prompt);
  EXPECT_EQ(settled_stats(*engine).prompt_tokens, before + 1);
  EXPECT_EQ(found, embedding_of(*make_engine(golden_config("llama")), prompt));
  // A salt keeps them apart, as ever.
  Request salted = embed(prompt);
  salted.cache_salt = "mine";
  EXPECT_EQ(run_to_end(*engine, salted)[0].embedding, found);
  EXPECT_EQ(settled_stats(*engine).prompt_tokens, before + 65);
}

TEST(Embedding, AMeanComputesEveryPosition) {
  std::mt19937 random(2);
  const PooledModel model("llama", kMean);
  auto engine = make_engine(model.config());
  const std::vector<int32_t> prompt = random_tokens(random, 64);
  run_to_end(*engine, greedy(prompt, 1));
  const int64_t before = settled_stats(*engine).prompt_tokens;
  const std::vector<float> first = embedding_of(*engine, prompt);
  EXPECT_EQ(embedding_of(*engine, prompt), first);
  EXPECT_EQ(settled_stats(*engine).prompt_tokens, before + 128);
}

// --- what is refused, and ends early ---

TEST(Embedding, MayFillTheContextAndNotMore) {
  EngineConfig config = golden_config("llama");
  config.context_length = 40;
  auto engine = make_engine(config);
  std::mt19937 random(3);
  EXPECT_EQ(embedding_of(*engine, random_tokens(random, 40)).size(), 64u);
  EXPECT_EQ(embedding_of(*engine, {5}).size(), 64u);
  EXPECT_EQ(refusal(*engine, embed(random_tokens(random, 41))),
            "prompt: 41 tokens are more than the context of 40");
  EXPECT_EQ(refusal(*engine, embed({})), "prompt: it has no tokens");
}

TEST(Embedding, RefusesWhatItCanNotBe) {
  auto engine = make_engine(golden_config("llama"));
  Request request = embed({1, 2, 3});
  request.outputs = 2;
  EXPECT_EQ(refusal(*engine, request), "outputs: 2 of an embedding");
  request = embed({1, 2, 3});
  request.beam = BeamParams{.width = 2};
  EXPECT_EQ(refusal(*engine, request), "embed: not with a beam search");
  request = embed({1, 2, 3});
  request.score_prompt = true;
  EXPECT_EQ(refusal(*engine, request), "embed: not of a scored prompt");
  const PooledModel encoder("llama", kCls);
  EXPECT_EQ(refusal(*make_engine(encoder.config()), embed({1})),
            "embed: the model's pooling is 'cls'; only mean and last are supported");
  const PooledModel reranker("llama", kRank);
  EXPECT_EQ(refusal(*make_engine(reranker.config()), embed({1})),
            "embed: the model's pooling is 'rank'; only mean and last are supported");
}

TEST(Embedding, CanBeCancelled) {
  std::mt19937 random(4);
  EngineConfig config = golden_config("llama");
  config.batch_tokens = 1;  // a thousand steps
  auto engine = make_engine(config);
  auto stream = std::move(*engine->submit(embed(random_tokens(random, 1000))));
  stream->cancel();
  std::vector<OutputRecord> outputs(1);
  while (auto event = stream->next()) record(*event, outputs);
  EXPECT_EQ(outputs[0].finish, FinishReason::cancelled);
  EXPECT_TRUE(outputs[0].embedding.empty());
  EXPECT_EQ(settled_stats(*engine).blocks_in_use, 0);
}

}  // namespace
}  // namespace octavo
