// What the bookkeeping of a step costs: plan + commit for 10 to 10,000 running sequences.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <random>
#include <vector>

#include "base/check.h"
#include "sched/scheduler.h"

namespace octavo {
namespace {

constexpr int32_t kPromptTokens = 200;
constexpr int32_t kNewTokens = 1000;

// A scheduler that has served `sequences` long requests at once for so long that its state lasts:
// they are of all ages, and every block that none of them uses is cached.
class Load {
 public:
  Load(int32_t sequences, std::vector<GroupSpec> groups)
      : sequences_(sequences),
        scheduler_({.block_size = 16,
                    .groups = groups,
                    .max_blocks = sequences * static_cast<int32_t>(groups.size()) *
                                  ((kPromptTokens + kNewTokens) / 16 + 2),
                    .extent_blocks = 64,
                    .prefix_cache = true},
                   {.context_length = kPromptTokens + kNewTokens,
                    .max_running_sequences = sequences,
                    .max_queued_requests = sequences,
                    .max_extra_key_bytes = 0}) {
    for (int32_t i = 0; i < sequences; ++i) submit();
    for (int32_t i = 0; i < kNewTokens; ++i) step(nullptr);
  }

  // Plans and commits one step; with `ahead`, the plan is made before the one before is committed.
  void step(const Plan** ahead) {
    const Plan* plan = &scheduler_.plan(1 << 20);
    if (ahead != nullptr) std::swap(plan, *ahead);
    if (plan == nullptr) return;
    tokens_.resize(plan->samples.size());
    results_.resize(plan->samples.size());
    for (size_t i = 0; i < tokens_.size(); ++i) {
      tokens_[i] = next_token_++;
      results_[i].accepted = {&tokens_[i], 1};
    }
    scheduler_.commit(*plan, results_);
    // Those that reached their end are replaced, as in a busy server.
    const int32_t served = scheduler_.running_sequences() + scheduler_.queued_requests();
    for (int32_t i = served; i < sequences_; ++i) submit();
  }

 private:
  void submit() {
    std::vector<TokenId> prompt(kPromptTokens);
    std::generate(prompt.begin(), prompt.end(), [&] { return next_token_++; });
    const auto id = scheduler_.submit({.prompt = std::move(prompt),
                                       .max_new_tokens = lengths_(random_),
                                       .outputs = 1,
                                       .priority = 0,
                                       .extra_key = ""});
    OCTAVO_CHECK(id.ok(), "{}", id.error().message);
  }

  int32_t sequences_;
  Scheduler scheduler_;
  TokenId next_token_ = 0;
  std::mt19937 random_;
  std::uniform_int_distribution<int32_t> lengths_{1, kNewTokens};
  std::vector<TokenId> tokens_;
  std::vector<SampleResult> results_;
};

void report_rate(benchmark::State& state) {
  const double steps =
      static_cast<double>(state.iterations()) * static_cast<double>(state.range(0));
  state.counters["sequence-steps/s"] = benchmark::Counter(steps, benchmark::Counter::kIsRate);
}

void plan_and_commit(benchmark::State& state) {
  Load load(static_cast<int32_t>(state.range(0)), {GroupSpec{}});
  for (auto unused : state) load.step(nullptr);
  report_rate(state);
}
BENCHMARK(plan_and_commit)
    ->ArgsProduct({{10, 30, 100, 300, 1000, 3000, 10000}})
    ->Unit(benchmark::kMicrosecond);

void plan_and_commit_with_a_window(benchmark::State& state) {
  Load load(static_cast<int32_t>(state.range(0)), {GroupSpec{}, GroupSpec{512}});
  for (auto unused : state) load.step(nullptr);
  report_rate(state);
}
BENCHMARK(plan_and_commit_with_a_window)->Arg(1000)->Unit(benchmark::kMicrosecond);

void plan_and_commit_running_ahead(benchmark::State& state) {
  Load load(static_cast<int32_t>(state.range(0)), {GroupSpec{}});
  const Plan* ahead = nullptr;
  for ([[maybe_unused]] auto _ : state) load.step(&ahead);
  report_rate(state);
}
BENCHMARK(plan_and_commit_running_ahead)->Arg(1000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace octavo

BENCHMARK_MAIN();
