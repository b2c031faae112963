// A scheduler under test, whose integrity is checked after every plan.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "sched/scheduler.h"

namespace octavo {

class SchedulerFixture : public testing::Test {
 protected:
  const Plan& plan(int32_t budget = 1000) {
    const Plan& made = scheduler_->plan(budget);
    expect_sound();
    return made;
  }

  void expect_sound() { ASSERT_EQ(scheduler_->check_integrity(), std::nullopt); }
  int32_t in_use() const { return scheduler_->kv().counts().in_use; }

  std::unique_ptr<Scheduler> scheduler_;
};

}  // namespace octavo
