#include "sched/simulator.h"

#include <gtest/gtest.h>

namespace octavo::sim {
namespace {

// The run was where it is dangerous.
void expect_dangerous(const SimulationReport& report) {
  EXPECT_GT(report.cancelled, 100);
  EXPECT_GT(report.refusals, 100);
  EXPECT_GT(report.starved, 50);
  EXPECT_GT(report.truncations, 100);
  EXPECT_GT(report.several, 100);
  EXPECT_GT(report.voided, 100);
  EXPECT_GT(report.extents_released, 50);
  EXPECT_GT(report.beam_choices, 1000);
  EXPECT_GT(report.partial_hits, 100);
  EXPECT_GT(report.offered, 10);
  EXPECT_GT(report.counters.preemptions, report.counters.swap_preemptions + 100);
  EXPECT_GT(report.counters.swap_preemptions, 50);
  EXPECT_GT(report.counters.evictions, 100);
  EXPECT_GT(report.counters.copies, 100);
  EXPECT_GT(report.counters.prefix_hit_tokens, 1000);
  EXPECT_GT(report.counters.swapped_out, 1000);
  EXPECT_GT(report.counters.swapped_in, 1000);
}

TEST(SchedulerSimulator, EveryOutputEqualsTheRequestAlone) {
  const SimulationReport report = simulate({.seed = 1, .requests = 10000});
  EXPECT_FALSE(report.failure) << *report.failure;
  EXPECT_GT(report.finished, 5000);
  expect_dangerous(report);
}

// An hour is run by hand.
TEST(SchedulerSimulator, MinutesWithEverythingOn) {
  const SimulationReport report = simulate({.seed = 1, .minutes = 12, .minutes_per_world = 3});
  EXPECT_FALSE(report.failure) << *report.failure;
  EXPECT_GE(report.simulated_ms, 12 * 60000);
  EXPECT_GT(report.finished, 1000);
  expect_dangerous(report);
}

}  // namespace
}  // namespace octavo::sim
