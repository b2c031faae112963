// What a world of the scheduler simulator is like, drawn from its seed.
#pragma once

#include <cstdint>
#include <vector>

#include "sched/fake_model.h"
#include "sched/scheduler.h"

namespace octavo::sim {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(mix(seed)) {}
  uint64_t next() { return mix(state_++); }
  // A number from low to high, both included.
  int32_t between(int32_t low, int32_t high) {
    return low + static_cast<int32_t>(next() % static_cast<uint64_t>(high - low + 1));
  }
  bool chance(int32_t percent) { return between(1, 100) <= percent; }
  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from[static_cast<size_t>(between(0, static_cast<int32_t>(from.size()) - 1))];
  }

 private:
  uint64_t state_;
};

struct WorldConfig {
  KvConfig kv;
  SchedulerLimits limits;
  std::vector<int32_t> token_budgets;  // one of them for each step
  bool runs_ahead = false;
  bool is_scarce = false;  // others take memory that the pool could have
  bool keeps_end = true;   // whether the end token is accepted or dropped
  int32_t cancel_percent = 0;
  int32_t reject_percent = 0;   // samples of which nothing is accepted
  int32_t several_percent = 0;  // samples of chunks of which several tokens are
  int32_t arrivals = 1;         // most per step
  int32_t most_outputs = 6;
  int32_t vocabulary = 2;
};

// Each feature is on in some worlds and off in others.
WorldConfig draw_config(Random& random);
// Every feature is on.
WorldConfig draw_full_config(Random& random);

}  // namespace octavo::sim
