#include "sched/simulator.h"

#include <gtest/gtest.h>

namespace octavo::sim {
namespace {

TEST(SchedulerSimulator, EveryOutputEqualsTheRequestAlone) {
  const SimulationReport report = simulate({.seed = 1, .requests = 10000});
  EXPECT_FALSE(report.failure) << *report.failure;
  EXPECT_GT(report.finished, 5000);
  // The run must have been where it is dangerous.
  EXPECT_GT(report.cancelled, 100);
  EXPECT_GT(report.truncations, 100);
  EXPECT_GT(report.voided, 100);
  EXPECT_GT(report.extents_released, 100);
  EXPECT_GT(report.beam_choices, 1000);
  EXPECT_GT(report.counters.preemptions, 100);
  EXPECT_GT(report.counters.evictions, 100);
  EXPECT_GT(report.counters.copies, 100);
  EXPECT_GT(report.counters.prefix_hit_tokens, 1000);
  EXPECT_GT(report.counters.swap_preemptions, 100);
  EXPECT_GT(report.counters.preemptions, report.counters.swap_preemptions + 100);
  EXPECT_GT(report.counters.swapped_out, 1000);
  EXPECT_GT(report.counters.swapped_in, 1000);
  EXPECT_GT(report.offered, 10);
}

}  // namespace
}  // namespace octavo::sim
