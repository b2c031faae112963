// The scheduler simulator: drives the real scheduler and KV bookkeeping with random requests and
// the FakeModel, and compares every output with the same request computed alone.
//
// A run is a row of worlds. A world is one scheduler with a random configuration (pool, block size,
// KV groups, hash, budget, running ahead or not, ...) that serves random requests; all of it
// follows from the world's seed. After every plan and commit the scheduler's integrity check runs,
// and the simulator checks that no step writes what a step in flight uses.
//
// There are two kinds of runs. One serves a number of requests, some hundred in each world, in
// which each feature is on or off. In some worlds others take memory and give it back, so that the
// pool has to do with less, and what does not fit even alone is ended. The other kind serves for
// some simulated time with every feature on: steps last some milliseconds, and the load comes and
// goes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "sched/scheduler.h"

namespace octavo::sim {

struct SimulationOptions {
  uint64_t seed = 1;  // of the first world; the others follow
  int64_t requests = 20000;
  int64_t requests_per_world = 250;
  int64_t minutes = 0;  // > 0: of simulated time with every feature on, instead of the requests
  int64_t minutes_per_world = 10;
};

struct SimulationReport {
  std::optional<std::string> failure;  // what went wrong, in which world and how to repeat it
  int64_t worlds = 0;
  int64_t finished = 0;  // requests
  int64_t cancelled = 0;
  int64_t refusals = 0;  // of memory
  int64_t starved = 0;   // requests that were ended for want of it
  int64_t steps = 0;
  int64_t tokens = 0;        // computed
  int64_t simulated_ms = 0;  // of timed runs
  int64_t truncations = 0;   // samples that were rejected
  int64_t several = 0;       // samples of which several tokens were accepted
  int64_t voided = 0;        // samples of steps that ran ahead in vain
  int64_t extents_released = 0;
  int64_t beam_choices = 0;  // of beam searches, with several beams
  int64_t offered = 0;       // blocks that came back from the disk
  int64_t partial_hits = 0;  // plans in which a prefix was found that ends inside a block
  SchedulerCounters counters;
};

SimulationReport simulate(const SimulationOptions& options);

}  // namespace octavo::sim
