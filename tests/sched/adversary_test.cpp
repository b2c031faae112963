// An adversary against progress. It sees who is served first and which blocks that one holds, and
// submits, cancels, shares and refuses so that the pool is always dry; but the first in the order
// of service gets on in every step, so that all requests end.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <string>

#include "sched/fake_model.h"
#include "sched/scheduler.h"

namespace octavo {
namespace {

class Adversary {
 public:
  explicit Adversary(uint64_t seed) : state_(sim::mix(seed)), scheduler_(config(), limits()) {}

  // The first breach; nothing when everything submitted came to its end.
  std::optional<std::string> run(int steps) {
    const bool ahead = chance(50);
    for (int i = 0; i < steps; ++i) {
      attack();
      if (auto breach = step(ahead && chance(80))) return breach;
    }
    // Every token of every request costs one step at the most, and a step may be planned in vain.
    for (int64_t left = 2 * work_; scheduler_.has_work(); --left) {
      if (left == 0) return "the requests do not end";
      if (auto breach = step(ahead)) return breach;
    }
    return std::nullopt;
  }

  int64_t preemptions() const { return scheduler_.counters().preemptions; }
  int64_t swaps() const { return scheduler_.counters().swap_preemptions; }

 private:
  static constexpr int32_t kContext = 40;

  uint64_t next() { return sim::mix(state_++); }
  int32_t between(int32_t low, int32_t high) {
    return low + static_cast<int32_t>(next() % static_cast<uint64_t>(high - low + 1));
  }
  bool chance(int32_t percent) { return between(1, 100) <= percent; }

  // A pool in which the longest request just fits, or little more.
  KvConfig config() {
    const bool window = chance(50);
    const int32_t groups = window ? 2 : 1;
    return {.block_size = 4,
            .groups = window ? std::vector<GroupSpec>{{0}, {7}} : std::vector<GroupSpec>{{0}},
            .max_blocks = groups * kContext / 4 + between(0, 6),
            .extent_blocks = 2,
            .host_blocks = between(0, 2) * between(0, 20)};
  }
  SchedulerLimits limits() {
    return {.context_length = kContext,
            .max_running_sequences = 32,
            .max_queued_requests = 16,
            .costs = {.block = chance(70) ? 0.0 : 1000.0}};
  }

  // The sequence that is served first, if one runs.
  std::optional<SequenceSnapshot> front() const {
    const CacheSnapshot now = scheduler_.snapshot();
    if (now.sequences.empty()) return std::nullopt;
    return now.sequences.front();
  }

  void attack() {
    const std::optional<SequenceSnapshot> first = front();
    for (int32_t tries = between(0, 4); tries > 0; --tries) {
      RequestSpec spec;
      // A prompt that shares the blocks of the first makes it copy them; another takes its room.
      if (first && chance(50)) {
        const auto tokens = scheduler_.sequence(first->sequence).tokens();
        spec.prompt.assign(tokens.begin(),
                           tokens.begin() + between(1, kContext / 2) % std::ssize(tokens));
      }
      while (std::ssize(spec.prompt) < between(1, kContext / 2)) {
        spec.prompt.push_back(between(0, 1000));
      }
      spec.max_new_tokens = between(1, kContext - static_cast<int32_t>(spec.prompt.size()));
      spec.outputs = chance(30) ? between(1, 32) : 1;
      spec.priority = chance(30) ? between(-1, 1) : 0;
      spec.retention = {.priority = between(0, 3), .ttl_ms = 0};
      const int64_t work = spec.outputs * int64_t{kContext};
      if (const auto id = scheduler_.submit(std::move(spec)); id.ok()) {
        last_ = id.value();
        work_ += work;
      }
    }
    // What was just admitted goes, and has evicted something for nothing.
    if (chance(20) && !(first && first->request == last_)) scheduler_.cancel(last_);
  }

  static int64_t progress(const Sequence& s) {
    return std::ssize(s.tokens()) + int64_t{s.computed_length()};
  }

  std::optional<std::string> step(bool ahead) {
    const std::optional<SequenceSnapshot> first = front();
    int64_t before = 0;
    if (first) before = progress(scheduler_.sequence(first->sequence));
    const bool alone = flying_.empty();
    const Plan& plan = scheduler_.plan(chance(50) ? between(1, 3) : between(1, 48));
    if (!plan.empty()) flying_.push_back({&plan, first});
    if (plan.empty() && flying_.empty() && scheduler_.has_work()) return "nothing moves any more";
    while (flying_.size() > (ahead && !plan.empty() ? 1u : 0u)) commit();
    if (auto breach = scheduler_.check_integrity()) return breach;
    if (!first || !alone || !flying_.empty()) return std::nullopt;
    // The plan is committed and no other was in flight: the first has got on, or is over.
    const Sequence& s = scheduler_.sequence(first->sequence);
    if (s.request() == first->request && s.output_index() == first->output_index && !s.over() &&
        progress(s) <= before) {
      return "the first in the order of service does not get on";
    }
    return std::nullopt;
  }

  void commit() {
    const auto [plan, first] = flying_.front();
    flying_.pop_front();
    const TokenId token = between(0, 1000);
    std::vector<SampleResult> results(plan->samples.size());
    for (size_t row = 0; row < results.size(); ++row) {
      const bool is_first = first && plan->samples[row] == first->sequence;
      if (is_first || chance(70)) results[row].accepted = {&token, 1};
      results[row].finished = !is_first && chance(10);
    }
    scheduler_.commit(*plan, results);
  }

  struct Flying {
    const Plan* plan = nullptr;
    std::optional<SequenceSnapshot> first;
  };

  uint64_t state_;
  Scheduler scheduler_;
  RequestId last_ = 0;  // submitted
  std::deque<Flying> flying_;
  int64_t work_ = 0;  // steps that all requests need if each computes one token alone
};

TEST(Adversary, CannotKeepTheFirstFromGettingOn) {
  int64_t preemptions = 0;
  int64_t swaps = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Adversary adversary(seed);
    const std::optional<std::string> breach = adversary.run(300);
    ASSERT_FALSE(breach) << "seed " << seed << ": " << *breach;
    preemptions += adversary.preemptions();
    swaps += adversary.swaps();
  }
  EXPECT_GT(swaps, 1000);
  EXPECT_GT(preemptions, swaps + 1000);
}

}  // namespace
}  // namespace octavo
