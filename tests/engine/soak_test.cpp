// Everything at once, at random: pools, tiers, chunk sizes, restarts, cancellations, idle times and
// requests of every kind. What a request gives must be, bit for bit, what it gives alone in a calm
// engine.
//
// On the CPU, and in deterministic mode on a GPU where there is one.
//
// Some rounds run with the other tests. OCTAVO_TEST_SOAK=SECONDS goes on for that long;
// OCTAVO_TEST_SEED=N begins with another seed. Whatever the seed, all rounds together must have
// been where it is dangerous: types, tiers and chunk sizes take turns, and counters show what was
// reached.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "backend/cuda/create_cuda_backend.h"
#include "engine_ahead.h"
#include "pooled_model.h"
#include "random_requests.h"
#include "scratch_folder.h"

namespace octavo {
namespace {

constexpr int kRequests = 40;
// Each round takes the next of each list. The lengths have no common divisor, so that in time every
// one meets every other.
constexpr const char* kKvTypes[] = {"f32", "q8_0", "f16", "iq4_nl", "bf16"};
constexpr const char* kCudaKvTypes[] = {"f32", "f16", "bf16"};
constexpr uint32_t kPoolings[] = {kNone, kMean, kLast};
constexpr int64_t kBatchTokens[] = {1, 7, 8, 16, 64, 512, 4096};
struct Tiers {
  bool host = false;
  bool disk = false;
};
constexpr Tiers kTiers[] = {{}, {.host = true}, {.disk = true}, {.host = true, .disk = true}};
constexpr int kRounds = 8;  // with the other tests: once through every list
// How often the pool runs dry depends on chance and on the machine, so rounds go on until
// everything was reached, and not for ever.
constexpr int kMostRounds = 5 * kRounds;

// Where the engines run.
struct Place {
  const char* device;
  std::span<const char* const> kv_types;
};

template <class All>
const auto& turn(const All& all, uint32_t round) {
  return all[round % std::size(all)];
}

// What happened in all rounds.
struct Reached {
  int64_t recomputed = 0;
  int64_t swapped = 0;
  int64_t from_host = 0;  // blocks
  int64_t to_disk = 0;
  int64_t from_disk = 0;
  int64_t copies = 0;
  int64_t evictions = 0;
  int64_t prefix_hits = 0;
  int64_t beam_searches = 0;  // finished
  int64_t forks = 0;          // finished requests of several outputs
  int64_t embeddings = 0;     // finished
  int64_t cancelled = 0;      // outputs
  int64_t cut_short = 0;      // of those, some of whose tokens had come
  int64_t idle = 0;           // times that all memory was given back

  void add(const EngineStats& stats) {
    recomputed += stats.preemptions - stats.swap_preemptions;
    swapped += stats.swap_preemptions;
    from_host += stats.blocks_swapped_in;
    to_disk += stats.disk_blocks_stored;
    from_disk += stats.disk_blocks_read;
    copies += stats.block_copies;
    evictions += stats.evictions;
    prefix_hits += stats.prefix_hit_tokens;
  }
  std::vector<std::pair<const char*, int64_t>> counts() const {
    return {{"recomputed", recomputed},       {"swapped", swapped},
            {"from_host", from_host},         {"to_disk", to_disk},
            {"from_disk", from_disk},         {"copies", copies},
            {"evictions", evictions},         {"prefix_hits", prefix_hits},
            {"beam_searches", beam_searches}, {"forks", forks},
            {"embeddings", embeddings},       {"cancelled", cancelled},
            {"cut_short", cut_short},         {"idle", idle}};
  }
  bool everything() const {
    return std::ranges::all_of(counts(), [](const auto& count) { return count.second > 0; });
  }
};

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

std::vector<int32_t> random_tokens(int count, int32_t vocabulary, Random& random) {
  std::vector<int32_t> tokens;
  for (int i = 0; i < count; ++i) {
    tokens.push_back(static_cast<int32_t>(random.up_to(static_cast<uint32_t>(vocabulary))));
  }
  return tokens;
}

// What random_requests() leaves out.
void add_kinds(std::vector<Request>& requests, int32_t vocabulary, int64_t batch_tokens,
               Random& random) {
  for (Request& request : requests) {
    if (random.one_in(4)) request.cache_salt = random.one_in(2) ? "one" : "another";
    request.cache_priority = static_cast<int32_t>(random.up_to(4));
    request.cache_ttl_seconds = random.one_in(3) ? 1 : 0;
    // All beams of a search must fit into a step.
    if (request.beam && request.beam->width > batch_tokens) request.beam.reset();
    if (request.beam) continue;
    if (random.one_in(4)) request.sampling.stop = {"e", "the"};
    if (random.one_in(4)) request.sampling.stop_token_ids = random_tokens(20, vocabulary, random);
    if (random.one_in(4)) request.sampling.presence_penalty = 0.5F;
    if (random.one_in(4)) request.sampling.typical_p = 0.7F;
    if (random.one_in(4)) {
      for (const int32_t token : random_tokens(5, vocabulary, random)) {
        request.sampling.logit_bias.push_back({token, 5.0F});
      }
    }
    if (random.one_in(8)) {
      request.prompt.push_back(5);
      Request scored{.prompt = request.prompt, .priority = request.priority};
      scored.score_prompt = true;
      scored.sampling.logprobs = 2;
      request = scored;
    } else if (random.one_in(6)) {
      request.outputs = 1;
      request.embed = true;
    }
  }
}

const char* random_model(const std::string& kv_dtype, Random& random) {
  const bool has_scales = kv_dtype == "q8_0" || kv_dtype == "iq4_nl";  // of 32 dimensions
  return has_scales ? random.pick({"qwen3", "llama_q4_1"})
                    : random.pick({"llama", "gemma3", "qwen3", "llama_q4_1"});
}

// A pool that holds the largest of the requests and little more, or plenty.
EngineConfig random_config(const EngineConfig& calm, uint32_t seed, int64_t block_bytes,
                           Random& random, const std::string& disk) {
  EngineConfig config = calm;
  const Tiers tiers = turn(kTiers, seed);
  const int64_t groups = calm.model_path.find("gemma3") != std::string::npos ? 7 : 1;
  config.prefix_cache = tiers.disk || !random.one_in(4);  // the disk keeps nothing else
  // What is preempted without a tier is computed again. Two of the first rounds have none, so these
  // must not be wide by chance.
  const uint32_t more_blocks = random.up_to(tiers.host || tiers.disk ? 30 : 4);
  config.kv_memory_bytes = static_cast<int64_t>(10 + more_blocks) * groups * block_bytes;
  if (tiers.host) {
    config.kv_host_memory_bytes = static_cast<int64_t>(1 + random.up_to(30)) * groups * block_bytes;
  }
  if (tiers.disk) {
    config.kv_disk = disk;
    config.kv_disk_bytes = int64_t{4} << 20;
  }
  config.batch_tokens = turn(kBatchTokens, seed);
  config.max_sequences = random.pick({8, 32, 256});
  config.threads = 1 + random.up_to(3);
  config.kv_idle_seconds = 1;
  return config;
}

// What came before a cancellation is the beginning of the whole.
bool is_beginning(const OutputRecord& part, const OutputRecord& whole) {
  const auto begins = [](const auto& a, const auto& b) {
    return a.size() <= b.size() && std::equal(a.begin(), a.end(), b.begin());
  };
  return begins(part.tokens, whole.tokens) && begins(part.logprobs, whole.logprobs) &&
         begins(part.text, whole.text) && part.embedding.empty();
}

// Some are cancelled, on the way or before.
void compare(Engine& engine, const std::vector<Request>& requests,
             const std::vector<std::vector<OutputRecord>>& alone, Random& random,
             Reached& reached) {
  std::vector<std::unique_ptr<Stream>> streams;
  for (const Request& request : requests) {
    auto stream = engine.submit(request);
    ASSERT_TRUE(stream.ok()) << stream.error().message;
    streams.push_back(std::move(stream).value());
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    SCOPED_TRACE("request " + std::to_string(i));
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
        ASSERT_EQ(outputs[k], alone[i][k]) << "output " << k;
        continue;
      }
      ASSERT_TRUE(cancelled);
      ASSERT_TRUE(is_beginning(outputs[k], alone[i][k])) << "output " << k;
      ++reached.cancelled;
      if (!outputs[k].tokens.empty()) ++reached.cut_short;
    }
    if (cancelled) continue;
    if (requests[i].beam) ++reached.beam_searches;
    if (outputs.size() > 1 && !requests[i].beam) ++reached.forks;
    if (requests[i].embed) ++reached.embeddings;
  }
}

// As long as an idle engine needs to give its memory back, and no longer than a slow machine does.
void idle(Engine& engine, Reached& reached) {
  for (int i = 0; i < 200; ++i) {
    const EngineStats stats = engine.stats();
    if (stats.blocks_uncommitted == stats.blocks_total && stats.host_blocks_used == 0) {
      ++reached.idle;
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

void run_round(const Place& place, uint32_t seed, Reached& reached) {
  SCOPED_TRACE("OCTAVO_TEST_SEED=" + std::to_string(seed));
  Random random(seed);
  const bool runs_ahead = random.one_in(2);
  const std::string kv_dtype = turn(place.kv_types, seed);
  const PooledModel model(random_model(kv_dtype, random), turn(kPoolings, seed));
  EngineConfig calm = model.config();
  calm.device = place.device;
  calm.deterministic = true;
  calm.kv_dtype = kv_dtype;
  std::vector<Request> requests;
  std::vector<std::vector<OutputRecord>> alone;
  int64_t block_bytes = 0;
  {
    EngineConfig config = calm;
    config.prefix_cache = false;
    auto engine = make_engine(config);
    block_bytes = engine->stats().block_bytes;
    const int32_t vocabulary = engine->model().vocabulary;
    requests = random_requests(random.next(), vocabulary, kRequests);
    add_kinds(requests, vocabulary, turn(kBatchTokens, seed), random);
    for (const Request& request : requests) alone.push_back(run_to_end(*engine, request));
  }
  const auto make = runs_ahead ? make_engine_ahead : make_engine;
  const ScratchFolder folder;
  const EngineConfig config =
      random_config(calm, seed, block_bytes, random, folder.path("kv.disk"));
  auto engine = make(config);
  const uint32_t idle_after = random.up_to(3);
  for (uint32_t pass = 0; pass < 3; ++pass) {
    ASSERT_NO_FATAL_FAILURE(compare(*engine, requests, alone, random, reached));
    if (pass == idle_after) idle(*engine, reached);
    if (pass < 2 && !random.one_in(3)) continue;
    reached.add(engine->stats());
    engine = nullptr;  // what is on the disk, the next one finds
    if (pass < 2) engine = make(config);
  }
}

int64_t number_of(const char* variable, int64_t fallback) {
  const char* text = std::getenv(variable);
  return text == nullptr ? fallback : std::strtoll(text, nullptr, 10);
}

void soak(const Place& place) {
  const auto end =
      std::chrono::steady_clock::now() + std::chrono::seconds(number_of("OCTAVO_TEST_SOAK", 0));
  auto seed = static_cast<uint32_t>(number_of("OCTAVO_TEST_SEED", 20261125));
  Reached reached;
  const auto goes_on = [&](int round) {
    if (round < kRounds || std::chrono::steady_clock::now() < end) return true;
    return round < kMostRounds && !reached.everything();
  };
  for (int round = 0; goes_on(round); ++round) {
    ASSERT_NO_FATAL_FAILURE(run_round(place, seed++, reached));
    if (testing::Test::HasFailure()) return;
  }
  for (const auto& [what, count] : reached.counts()) EXPECT_GT(count, 0) << what;
}

TEST(Soak, WhateverHappensARequestGivesWhatItGivesAlone) {
  soak({"cpu", kKvTypes});
}

TEST(Soak, SoItIsOnACudaDevice) {
  if (cuda::device_count() == 0) GTEST_SKIP() << "no CUDA device";
  soak({"cuda", kCudaKvTypes});
}

}  // namespace
}  // namespace octavo
