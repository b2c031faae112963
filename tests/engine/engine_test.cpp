#include "octavo/engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <thread>

#include "backend/cuda/create_cuda_backend.h"
#include "engine_ahead.h"
#include "gguf/builtin_model.h"

namespace octavo {
namespace {

EngineConfig tiny_config() {
  return golden_config("llama");
}

std::vector<int32_t> counting(int32_t first, int32_t count) {
  std::vector<int32_t> tokens;
  tokens.reserve(static_cast<size_t>(count));
  for (int32_t i = 0; i < count; ++i) tokens.push_back(first + i % 200);
  return tokens;
}

std::string submit_error(Engine& engine, const Request& request) {
  const auto stream = engine.submit(request);
  return stream ? "" : stream.error().message;
}

int64_t resident_bytes() {
  int64_t size = 0;
  int64_t resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return resident * 4096;
}

TEST(Engine, SaysWhatItLoaded) {
  auto engine = make_engine(tiny_config());
  EXPECT_EQ(engine->model().architecture, "llama");
  EXPECT_GT(engine->model().vocabulary, 0);
  EXPECT_NE(engine->model().backend.find("cpu"), std::string::npos);
}

TEST(Engine, TurnsTextIntoTokensAndBack) {
  auto engine = make_engine(tiny_config());
  const auto tokens = engine->tokenize("hello there", {.add_special = false});
  ASSERT_TRUE(tokens.ok());
  EXPECT_EQ(*engine->detokenize(*tokens), "hello there");
  EXPECT_NE(engine->detokenize({-1}).error().message.find("tokens: -1"), std::string::npos);
  EXPECT_FALSE(engine->detokenize({engine->model().vocabulary}).ok());
  std::string bytes;
  for (const int32_t token : *tokens) bytes += engine->token_bytes(token);
  EXPECT_TRUE(bytes.ends_with("hello there")) << bytes;
  EXPECT_EQ(engine->token_bytes(-1), "");
}

TEST(Engine, AChatTemplateTakesVariables) {
  auto engine = make_engine(tiny_config());
  const std::vector<ChatMessage> messages = {{"user", "hello"}};
  const auto text = engine->render_chat_template(messages, {.variables = R"({"role": "x"})"});
  ASSERT_TRUE(text.ok());
  EXPECT_NE(text->find("hello"), std::string::npos);
  EXPECT_FALSE(engine->render_chat_template(messages, {.variables = "[1]"}).ok());
  EXPECT_FALSE(engine->render_chat_template(messages, {.variables = "{"}).ok());
}

TEST(Engine, RefusesBadSettings) {
  const auto error = [](const EngineConfig& config) {
    const auto engine = Engine::create(config);
    return engine ? "" : engine.error().message;
  };
  EngineConfig config = tiny_config();
  config.model_path = "/nowhere/model.gguf";
  EXPECT_NE(error(config).find("/nowhere/model.gguf"), std::string::npos);
  config = tiny_config();
  config.device = "abacus";
  EXPECT_EQ(error(config), "device: 'abacus' is not one of cpu, cuda, cuda:N, auto");
  config = tiny_config();
  config.kv_dtype = "q3";
  EXPECT_EQ(error(config), "kv-dtype: 'q3' is not one of f32, f16, bf16, q8_0, iq4_nl");
  config = tiny_config();
  config.block_size = 24;
  EXPECT_NE(error(config).find("24"), std::string::npos);
  config = tiny_config();
  config.batch_tokens = 0;
  EXPECT_EQ(error(config), "batch-tokens: 0 is not between 1 and 65536");
  config = tiny_config();
  config.context_length = 1 << 20;
  EXPECT_NE(error(config).find("1048576 tokens are more than the model's"), std::string::npos);
  config = tiny_config();
  config.kv_memory_bytes = 1;
  EXPECT_NE(error(config).find("kv-memory: 1 bytes are less than one block"), std::string::npos);
  config = tiny_config();
  config.instruction_set = "mmx";
  EXPECT_NE(error(config).find("'mmx'"), std::string::npos);
}

TEST(Engine, RefusesBadRequestsAndNamesTheField) {
  auto engine = make_engine(tiny_config());
  const int32_t context = engine->model().context_length;
  const int32_t vocabulary = engine->model().vocabulary;
  EXPECT_EQ(submit_error(*engine, greedy({}, 4)), "prompt: it has no tokens");
  EXPECT_NE(submit_error(*engine, greedy({vocabulary}, 4)).find("prompt: "), std::string::npos);
  EXPECT_NE(submit_error(*engine, greedy({-1}, 4)).find("prompt: -1"), std::string::npos);
  const std::string too_long = submit_error(*engine, greedy(counting(3, context), 1));
  EXPECT_NE(too_long.find(std::to_string(context) + " tokens"), std::string::npos) << too_long;
  EXPECT_NE(too_long.find("context of " + std::to_string(context)), std::string::npos);
  const auto with = [](void (*change)(Request&)) {
    Request request = greedy({5}, 4);
    change(request);
    return request;
  };
  struct Case {
    const char* field;
    void (*change)(Request&);
  };
  for (const Case& c : std::initializer_list<Case>{
           {"temperature", [](Request& r) { r.sampling.temperature = -1; }},
           {"temperature", [](Request& r) { r.sampling.temperature = std::nanf(""); }},
           {"top_p", [](Request& r) { r.sampling.top_p = 0; }},
           {"top_k", [](Request& r) { r.sampling.top_k = -1; }},
           {"min_p", [](Request& r) { r.sampling.min_p = 1.5F; }},
           {"typical_p", [](Request& r) { r.sampling.typical_p = 0; }},
           {"repetition_penalty", [](Request& r) { r.sampling.repetition_penalty = 0; }},
           {"presence_penalty", [](Request& r) { r.sampling.presence_penalty = 3; }},
           {"max_tokens", [](Request& r) { r.sampling.max_tokens = -1; }},
           {"min_tokens", [](Request& r) { r.sampling.min_tokens = 5; }},
           {"logprobs", [](Request& r) { r.sampling.logprobs = 1000; }},
           {"logit_bias",
            [](Request& r) {
              r.sampling.logit_bias = {{-3, 1.0F}};
            }},
           {"stop_token_ids", [](Request& r) { r.sampling.stop_token_ids = {1 << 30}; }},
           {"stop", [](Request& r) { r.sampling.stop = {""}; }},
           {"outputs", [](Request& r) { r.outputs = 0; }},
           {"outputs", [](Request& r) { r.outputs = 129; }}}) {
    const std::string error = submit_error(*engine, with(c.change));
    EXPECT_NE(error.find(c.field), std::string::npos) << c.field << ": " << error;
  }
  EXPECT_EQ(run_to_end(*engine, greedy({5}, 4))[0].tokens.size(), 4u);  // and it still serves
}

TEST(Engine, RefusesWhatCanNeverFitAndServesWhatDoes) {
  EngineConfig config = tiny_config();
  const int64_t block_bytes = make_engine(config)->stats().block_bytes;
  config.kv_memory_bytes = 3 * block_bytes;
  auto engine = make_engine(config);
  EXPECT_EQ(submit_error(*engine, greedy(counting(3, 40), 20)),
            "40 prompt tokens and 20 new tokens need 4 KV blocks, the pool has 3 (" +
                std::to_string(4 * block_bytes) + " bytes, kv-memory allows " +
                std::to_string(3 * block_bytes) + ")");
  EXPECT_EQ(run_to_end(*engine, greedy(counting(3, 40), 9))[0].tokens.size(), 9u);
}

TEST(Engine, QueueIsBounded) {
  EngineConfig config = tiny_config();
  config.max_sequences = 1;
  config.max_queued = 4;
  auto engine = make_engine(config);
  std::vector<std::unique_ptr<Stream>> streams;
  std::string error;
  for (int i = 0; i < 50 && error.empty(); ++i) {
    auto stream = engine->submit(greedy({5, 6, 7}, 60));
    if (stream) {
      streams.push_back(std::move(*stream));
    } else {
      error = stream.error().message;
      EXPECT_EQ(stream.error().kind, ErrorKind::resource);
    }
  }
  EXPECT_EQ(error, "the queue is full: 4 requests wait");
  for (const auto& stream : streams) {
    FinishReason finish = FinishReason::none;
    while (auto event = stream->next()) finish = event->finish;
    EXPECT_EQ(finish, FinishReason::length);
  }
  EXPECT_EQ(run_to_end(*engine, greedy({5}, 2))[0].tokens.size(), 2u);
}

TEST(Engine, OutputsOfOneRequestDifferAndRepeat) {
  auto engine = make_engine(tiny_config());
  Request request = greedy(counting(3, 21), 12);
  request.outputs = 4;
  request.sampling.temperature = 1.0F;
  request.sampling.seed = 77;
  const auto outputs = run_to_end(*engine, request);
  for (size_t a = 0; a < outputs.size(); ++a) {
    EXPECT_EQ(outputs[a].tokens.size(), 12u);
    for (size_t b = 0; b < a; ++b) EXPECT_NE(outputs[a].tokens, outputs[b].tokens);
  }
  EXPECT_EQ(run_to_end(*engine, request), outputs);
  request.sampling.seed = 78;
  EXPECT_NE(run_to_end(*engine, request), outputs);
}

TEST(Engine, CancelEndsAStreamAndLeavesTheOthers) {
  auto engine = make_engine(tiny_config());
  const auto expected = run_to_end(*engine, greedy({9, 8, 7}, 50));
  auto other = std::move(*engine->submit(greedy({9, 8, 7}, 50)));
  // A busy machine may let a victim finish before it is cancelled: then the next one is tried.
  FinishReason finish = FinishReason::none;
  for (int attempt = 0; attempt < 100 && finish != FinishReason::cancelled; ++attempt) {
    auto victim = std::move(*engine->submit(greedy({5, 6}, 60)));
    while (auto event = victim->next()) {
      finish = event->finish;
      victim->cancel();
      victim->cancel();
    }
  }
  EXPECT_EQ(finish, FinishReason::cancelled);
  std::vector<OutputRecord> outputs(1);
  while (auto event = other->next()) record(*event, outputs);
  EXPECT_EQ(outputs, expected);
  while (engine->stats().running > 0) std::this_thread::yield();
  EXPECT_EQ(engine->stats().blocks_in_use, 0);
}

TEST(Engine, StreamsOutliveTheirEngine) {
  std::unique_ptr<Stream> stream;
  {
    auto engine = make_engine(tiny_config());
    stream = std::move(*engine->submit(greedy({5, 6}, 60)));
  }
  FinishReason finish = FinishReason::none;
  while (auto event = stream->next()) finish = event->finish;
  EXPECT_TRUE(finish == FinishReason::cancelled || finish == FinishReason::length);
  stream->cancel();
}

TEST(Engine, ManyThreadsSubmitAtOnce) {
  auto engine = make_engine(tiny_config());
  const auto expected = run_to_end(*engine, greedy(counting(3, 30), 20));
  std::vector<std::thread> threads;
  threads.reserve(6);
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&engine, &expected, t] {
      for (int i = 0; i < 5; ++i) {
        if ((t + i) % 3 == 0) {
          auto stream = engine->submit(greedy(counting(t, 10), 20));
          if (stream) (*stream)->next();  // dropped while it runs
        }
        EXPECT_EQ(run_to_end(*engine, greedy(counting(3, 30), 20)), expected);
        (void)engine->stats();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Engine, ScoresAPromptAsItWouldHaveGeneratedIt) {
  EngineConfig config = tiny_config();
  config.batch_tokens = 7;  // scored in chunks
  auto engine = make_engine(config);
  Request request = greedy(counting(3, 20), 15);
  request.sampling.logprobs = 0;
  const OutputRecord generated = run_to_end(*engine, request)[0];
  Request score;
  score.prompt = request.prompt;
  score.prompt.insert(score.prompt.end(), generated.tokens.begin(), generated.tokens.end());
  score.score_prompt = true;
  const OutputRecord scored = run_to_end(*engine, score)[0];
  ASSERT_EQ(scored.tokens.size(), score.prompt.size() - 1);
  EXPECT_TRUE(scored.text.empty());
  for (size_t i = 0; i < generated.tokens.size(); ++i) {
    const size_t at = request.prompt.size() - 1 + i;
    EXPECT_EQ(scored.tokens[at], generated.tokens[i]);
    EXPECT_EQ(scored.logprobs[at], generated.logprobs[i]);  // the same bits
  }
  EXPECT_EQ(run_to_end(*engine, score)[0], scored);
  score.prompt = counting(3, engine->model().context_length);
  EXPECT_EQ(run_to_end(*engine, score)[0].tokens.size(), score.prompt.size() - 1);
}

TEST(Engine, ScoresEachPositionOnceThoughItIsPreempted) {
  EngineConfig config = tiny_config();
  Request score;
  score.prompt = counting(3, 120);
  score.score_prompt = true;
  score.priority = 1;  // pushed out by whoever comes before it
  const OutputRecord alone = run_to_end(*make_engine(config), score)[0];
  config.batch_tokens = 9;
  config.kv_memory_bytes = 12 * make_engine(config)->stats().block_bytes;
  int64_t preemptions = 0;
  for (int trial = 0; trial < 10; ++trial) {
    auto engine = make_engine(config);
    auto scored = std::move(*engine->submit(score));
    std::vector<std::unique_ptr<Stream>> others;
    others.reserve(4);
    for (int i = 0; i < 4; ++i) {
      others.push_back(std::move(*engine->submit(greedy(counting(i + trial, 20), 60))));
    }
    std::vector<OutputRecord> outputs(1);
    while (auto event = scored->next()) record(*event, outputs);
    EXPECT_EQ(outputs[0], alone) << trial;
    preemptions += engine->stats().preemptions;
  }
  EXPECT_GT(preemptions, 0);
  score.outputs = 2;
  EXPECT_EQ(submit_error(*make_engine(config), score), "outputs: 2 of a scored prompt");
}

TEST(Engine, APromptThatWasSeenIsNotComputedAgain) {
  auto engine = make_engine(tiny_config());
  const Request request = greedy(counting(3, 64), 4);
  const auto first = run_to_end(*engine, request);
  const EngineStats before = engine->stats();
  EXPECT_EQ(before.prompt_tokens, 64);
  EXPECT_EQ(run_to_end(*engine, request), first);
  const EngineStats after = engine->stats();
  EXPECT_EQ(after.prompt_tokens - before.prompt_tokens, 1);  // the last: its logits are needed
  EXPECT_EQ(after.prefix_hit_tokens, 63);
  EXPECT_GT(after.blocks_cached, 0);
}

TEST(Engine, TheFirstEventSaysHowThePromptWasServed) {
  auto engine = make_engine(tiny_config());
  for (const int32_t cached : {0, 63}) {
    Request request = greedy(counting(3, 64), 4);
    request.outputs = 2;
    auto stream = engine->submit(request);
    ASSERT_TRUE(stream.ok());
    const std::optional<Event> first = (*stream)->next();
    ASSERT_TRUE(first && first->prompt);
    EXPECT_EQ(first->prompt->cached_tokens, cached);
    EXPECT_GE(first->prompt->queued_seconds, 0.0);
    EXPECT_LT(first->prompt->queued_seconds, 60.0);
    while (const auto event = (*stream)->next()) EXPECT_FALSE(event->prompt);
    EXPECT_TRUE((*stream)->finished());
  }
}

TEST(Engine, ASnapshotShowsWhoHoldsTheCache) {
  auto engine = make_engine(tiny_config());
  EXPECT_TRUE(engine->cache_snapshot().sequences.empty());
  Request request = greedy(counting(3, 64), 400);
  request.outputs = 2;
  auto stream = engine->submit(request);
  ASSERT_TRUE(stream.ok());
  ASSERT_TRUE((*stream)->next());
  const CacheSnapshot now = engine->cache_snapshot();
  ASSERT_EQ(now.sequences.size(), 2u);
  EXPECT_EQ(now.sequences[0].request, now.sequences[1].request);
  EXPECT_EQ(now.sequences[1].prompt_tokens, 64);
  EXPECT_GT(now.sequences[1].generated_tokens, 0);
  EXPECT_EQ(now.blocks_shared, 4) << "the prompt's";
  EXPECT_EQ(now.filled_slots,
            now.sequences[0].computed_tokens + now.sequences[1].computed_tokens - 64);
  EXPECT_LT(now.wasted_slots(), 2 * now.block_size) << "in the last block of each";
  EXPECT_EQ(now.blocks_uncommitted + now.blocks_free + now.blocks_cached + now.blocks_in_use,
            now.blocks_total);
}

TEST(Engine, ASaltKeepsACacheToItself) {
  auto engine = make_engine(tiny_config());
  Request request = greedy(counting(3, 64), 4);
  request.cache_salt = "one tenant";
  const auto first = run_to_end(*engine, request);
  request.cache_salt = "another tenant";
  EXPECT_EQ(run_to_end(*engine, request), first);
  request.cache_salt = "";
  EXPECT_EQ(run_to_end(*engine, request), first);
  EXPECT_EQ(engine->stats().prefix_hit_tokens, 0);
  request.cache_salt = "one tenant";
  EXPECT_EQ(run_to_end(*engine, request), first);
  EXPECT_EQ(engine->stats().prefix_hit_tokens, 63);
}

TEST(Engine, CacheParametersAreChecked) {
  auto engine = make_engine(tiny_config());
  const auto message = [&](auto change) {
    Request request = greedy(counting(3, 8), 4);
    change(request);
    const auto stream = engine->submit(request);
    return stream.ok() ? std::string("accepted") : stream.error().message;
  };
  EXPECT_NE(message([](Request& r) { r.cache_salt.assign(257, 's'); }).find("cache_salt"),
            std::string::npos);
  for (const int32_t priority : {-1, 4}) {
    EXPECT_NE(message([&](Request& r) { r.cache_priority = priority; }).find("cache_priority"),
              std::string::npos);
  }
  EXPECT_NE(message([](Request& r) { r.cache_ttl_seconds = -1; }).find("cache_ttl_seconds"),
            std::string::npos);
  EXPECT_EQ(message([](Request& r) { r.cache_priority = 3; }), "accepted");
}

// AddressSanitizer keeps what was freed for a while, and its own notes beside it: the process's
// size says nothing there.
#ifdef __SANITIZE_ADDRESS__
constexpr bool kSizeFollowsUse = false;
#else
constexpr bool kSizeFollowsUse = true;
#endif

// What is held at rest, while the engine serves, and at rest again, in bytes.
struct MemoryUse {
  int64_t after_start = 0;
  int64_t under_load = 0;
  int64_t idle_again = 0;
  EngineStats loaded;
  EngineStats idle;
};

// `requests` of 120 tokens each, all of them different.
MemoryUse use_memory(Engine& engine, int requests, int64_t (*held_bytes)() = resident_bytes) {
  MemoryUse use{.after_start = held_bytes()};
  std::vector<std::unique_ptr<Stream>> streams;
  streams.reserve(static_cast<size_t>(requests));
  for (int i = 0; i < requests; ++i) {
    streams.push_back(std::move(*engine.submit(greedy(counting(i, 100), 20))));
  }
  for (const auto& stream : streams) {
    while (stream->next()) {
    }
  }
  use.loaded = engine.stats();
  use.under_load = held_bytes();
  for (int i = 0; i < 200 && engine.stats().blocks_cached > 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    engine.cache_snapshot();  // who watches does not keep it awake
  }
  use.idle = engine.stats();
  use.idle_again = held_bytes();
  return use;
}

TEST(Engine, MemoryFollowsUse) {
  if (!kSizeFollowsUse) GTEST_SKIP() << "AddressSanitizer keeps freed memory";
  EngineConfig config = tiny_config();
  config.kv_idle_seconds = 1;
  config.kv_dtype = "f32";
  config.kv_memory_bytes = int64_t{2} << 30;
  const int64_t before = resident_bytes();
  auto engine = make_engine(config);
  const MemoryUse use = use_memory(*engine, 64);
  EXPECT_LT(use.after_start - before, int64_t{64} << 20) << "the limit is not taken in advance";
  const int64_t held = use.loaded.blocks_cached * use.loaded.block_bytes;
  ASSERT_GT(held, int64_t{1} << 20);
  EXPECT_GT(use.under_load, use.after_start + held / 2);
  EXPECT_LT(use.under_load, use.after_start + 4 * held + (int64_t{32} << 20));
  EXPECT_EQ(use.idle.blocks_cached, 0);
  EXPECT_EQ(use.idle.blocks_uncommitted, use.idle.blocks_total);
  EXPECT_LT(use.idle_again, use.under_load - held / 2);
  EXPECT_EQ(run_to_end(*engine, greedy({5}, 3))[0].tokens.size(), 3u);
}

TEST(Engine, TheHostTiersMemoryIsGivenBackToo) {
  if (!kSizeFollowsUse) GTEST_SKIP() << "AddressSanitizer keeps freed memory";
  EngineConfig config = tiny_config();
  config.kv_idle_seconds = 1;
  config.kv_dtype = "f32";
  config.kv_memory_bytes = int64_t{1} << 20;
  config.kv_host_memory_bytes = int64_t{1} << 30;
  auto engine = make_engine(config);
  const MemoryUse use = use_memory(*engine, 180);
  const int64_t held = use.loaded.host_blocks_used * use.loaded.block_bytes;
  ASSERT_GT(held, int64_t{4} << 20) << "evicted blocks are there";
  EXPECT_GT(use.under_load, use.after_start + held / 2);
  EXPECT_EQ(use.idle.host_blocks_used, 0);
  EXPECT_LT(use.idle_again, use.under_load - held / 2);
  const Request request = greedy(counting(0, 100), 20);
  config.kv_host_memory_bytes = 0;
  EXPECT_EQ(run_to_end(*engine, request), run_to_end(*make_engine(config), request));
}

TEST(Engine, CudaMemoryFollowsUse) {
  if (cuda::device_count() == 0) GTEST_SKIP() << "no CUDA device";
  EngineConfig config;
  config.model_path = gguf::builtin_model_name;
  config.device = "cuda";
  config.kv_idle_seconds = 1;
  config.kv_memory_bytes = int64_t{8} << 30;
  auto engine = make_engine(config);
  const MemoryUse use = use_memory(*engine, 200, [] {
    const cuda::GpuMemory memory = cuda::gpu_memory(0);
    return memory.total - memory.free;
  });
  const int64_t held = use.loaded.blocks_cached * use.loaded.block_bytes;
  constexpr int64_t kExtent = int64_t{16} << 20;
  ASSERT_GT(held, 4 * kExtent);
  EXPECT_GE(use.under_load, use.after_start + held - kExtent);
  EXPECT_LT(use.under_load, use.after_start + 4 * held + (int64_t{1} << 30));
  EXPECT_LE(use.idle_again, use.under_load - held + 2 * kExtent);
  EXPECT_EQ(run_to_end(*engine, greedy({5}, 3))[0].tokens.size(), 3u);
}

// Where an end is foreseen nothing is computed in vain, else one step is.
TEST(Engine, RunsAStepAheadAndNoFurther) {
  const EngineConfig config = golden_config("llama");
  const auto steps_of = [](std::unique_ptr<Engine> engine, const Request& request) {
    const std::vector<OutputRecord> outputs = run_to_end(*engine, request);
    return std::pair(engine->stats().steps, outputs.front().tokens);
  };
  Request request = greedy({5, 6, 7}, 12);
  const auto [steps, tokens] = steps_of(make_engine(config), request);
  EXPECT_EQ(steps, 12);
  EXPECT_EQ(steps_of(make_engine_ahead(config), request), std::pair(steps, tokens));

  const auto stop = std::find_if(tokens.begin() + 2, tokens.end(), [&](int32_t token) {
    return std::count(tokens.begin(), tokens.end(), token) == 1;
  });
  ASSERT_NE(stop, tokens.end());
  request.sampling.stop_token_ids = {*stop};
  const std::vector<int32_t> until(tokens.begin(), stop + 1);
  EXPECT_EQ(steps_of(make_engine(config), request), std::pair(std::ssize(until), until));
  EXPECT_EQ(steps_of(make_engine_ahead(config), request), std::pair(std::ssize(until) + 1, until));
}

TEST(Engine, BeamsAreInEveryStepToo) {
  constexpr int32_t kTokens = 60;
  Request search = greedy({5, 6, 7}, kTokens);
  search.beam = BeamParams{.width = 2};
  const auto engine = make_engine_ahead(golden_config("llama"));
  const auto beside = std::move(*engine->submit(greedy({8, 9}, kTokens)));
  EXPECT_FALSE(run_to_end(*engine, search).front().tokens.empty());
  while (beside->next()) {
  }
  // Every second one would be half as many again.
  EXPECT_LT(engine->stats().steps, kTokens + kTokens / 4);
}

}  // namespace
}  // namespace octavo
