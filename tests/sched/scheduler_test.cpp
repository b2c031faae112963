#include "sched/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>

#include "kv/token_runs.h"
#include "sched/scheduler_fixture.h"

namespace octavo {
namespace {

KvConfig kv_config(int32_t max_blocks, std::vector<GroupSpec> groups = {GroupSpec{}}) {
  return {.block_size = 4,
          .groups = std::move(groups),
          .max_blocks = max_blocks,
          .extent_blocks = 4,
          .prefix_cache = true};
}

SchedulerLimits wide_limits() {
  return {.context_length = 1000,
          .max_running_sequences = 64,
          .max_queued_requests = 64,
          .max_extra_key_bytes = 16};
}

// A scheduler whose every sample is the token 7000 + row, unless told otherwise.
class SchedulerTest : public SchedulerFixture {
 protected:
  void make(KvConfig kv, SchedulerLimits limits = wide_limits()) {
    scheduler_ = std::make_unique<Scheduler>(std::move(kv), limits, [this](ExtentId extent) {
      asked_.push_back(extent);
      return --extents_left_ >= 0;
    });
  }

  RequestId submit(Tokens prompt, int32_t max_new_tokens = 10, int32_t outputs = 1,
                   int32_t priority = 0) {
    const Result<RequestId> id = scheduler_->submit({.prompt = std::move(prompt),
                                                     .max_new_tokens = max_new_tokens,
                                                     .outputs = outputs,
                                                     .priority = priority,
                                                     .extra_key = ""});
    EXPECT_TRUE(id.ok());
    return id.value();
  }

  void commit(const Plan& made, bool finished = false) {
    Tokens tokens = count_from(7000, made.samples.size());
    std::vector<SampleResult> results;
    for (const TokenId& token : tokens) results.push_back({{&token, 1}, finished});
    scheduler_->commit(made, results);
    expect_sound();
  }

  RequestId request_of(const PlanItem& item) const {
    return scheduler_->sequence(item.sequence).request();
  }

  std::vector<ExtentId> asked_;  // for memory
  int32_t extents_left_ = 1000;  // that others have not taken
};

TEST_F(SchedulerTest, ComputesAPromptInChunksAndThenOneTokenAStep) {
  make(kv_config(100));
  submit(count_from(0, 10), 3);
  const Plan* made = &plan(6);
  ASSERT_EQ(made->items.size(), 1u);
  EXPECT_EQ(made->items[0].first_position, 0);
  EXPECT_EQ(made->items[0].q_len, 6);
  EXPECT_EQ(made->items[0].sample_count, 0);
  EXPECT_EQ(asked_, std::vector<ExtentId>{0});
  commit(*made);
  made = &plan(6);
  EXPECT_EQ(made->items[0].first_position, 6);
  EXPECT_EQ(made->items[0].q_len, 4);
  EXPECT_EQ(made->items[0].sample_count, 1);
  const SequenceId id = made->samples[0];
  EXPECT_EQ(scheduler_->sequence(id).table(0).size(), 3u);
  commit(*made);
  for (int32_t position = 10; position < 12; ++position) {
    made = &plan();
    ASSERT_EQ(made->items.size(), 1u);
    EXPECT_EQ(made->items[0].first_position, position);
    EXPECT_EQ(made->items[0].q_len, 1);
    EXPECT_EQ(made->items[0].previous_row, -1);
    EXPECT_EQ(scheduler_->sequence(id).tokens()[static_cast<size_t>(position)], 7000);
    commit(*made);
  }
  EXPECT_FALSE(scheduler_->has_work());
  EXPECT_EQ(in_use(), 0);
  EXPECT_TRUE(plan().empty());
}

TEST_F(SchedulerTest, NextTokensComeBeforeChunksOfPrompts) {
  make(kv_config(100));
  const RequestId first = submit(count_from(0, 3));
  const RequestId second = submit(count_from(100, 3));
  commit(plan());
  const RequestId urgent = submit(count_from(200, 50), 10, 1, -1);
  commit(plan(12));  // the two next tokens, and the first ten of the new prompt
  const Plan& made = plan(12);
  ASSERT_EQ(made.items.size(), 3u);
  EXPECT_EQ(made.token_count, 12);
  EXPECT_EQ(request_of(made.items[0]), urgent);
  EXPECT_EQ(made.items[0].first_position, 10);
  EXPECT_EQ(made.items[0].q_len, 10);
  EXPECT_EQ(request_of(made.items[1]), first);
  EXPECT_EQ(request_of(made.items[2]), second);
}

TEST_F(SchedulerTest, TheFirstInOrderProgressesWithTheSmallestBudget) {
  make(kv_config(100));
  submit(count_from(0, 3));
  commit(plan());
  const RequestId urgent = submit(count_from(200, 5), 10, 1, -1);
  commit(plan(2));
  // One token of budget: the urgent prompt's, although another waits for its next token.
  const Plan& made = plan(1);
  ASSERT_EQ(made.items.size(), 1u);
  EXPECT_EQ(request_of(made.items[0]), urgent);
  EXPECT_EQ(made.items[0].first_position, 1);
}

TEST_F(SchedulerTest, AdmitsByPriorityThenArrival) {
  SchedulerLimits limits = wide_limits();
  limits.max_running_sequences = 1;
  make(kv_config(100), limits);
  const RequestId a = submit(count_from(0, 3), 1, 1, 1);
  const RequestId b = submit(count_from(0, 3), 1, 1, 0);
  const RequestId c = submit(count_from(0, 3), 1, 1, 0);
  const RequestId d = submit(count_from(0, 3), 1, 1, -5);
  for (const RequestId expected : {d, b, c, a}) {
    const Plan& made = plan();
    ASSERT_EQ(made.items.size(), 1u);
    EXPECT_EQ(request_of(made.items[0]), expected);
    commit(made);
  }
}

TEST_F(SchedulerTest, RefusesWhatCanNeverRunAndSaysTheNumbers) {
  SchedulerLimits limits = wide_limits();
  limits.context_length = 50;
  limits.max_running_sequences = 4;
  limits.max_queued_requests = 1;
  make(kv_config(10), limits);
  const auto refusal = [&](RequestSpec spec) {
    const Result<RequestId> id = scheduler_->submit(std::move(spec));
    EXPECT_FALSE(id.ok());
    return id.ok() ? Error{} : id.error();
  };
  EXPECT_EQ(refusal({.prompt = {}, .max_new_tokens = 1, .extra_key = ""}).message,
            "the prompt has no tokens");
  EXPECT_EQ(refusal({.prompt = count_from(0, 41), .max_new_tokens = 10, .extra_key = ""}).message,
            "41 prompt tokens and 10 new tokens exceed the context length of 50");
  EXPECT_EQ(refusal({.prompt = count_from(0, 32), .max_new_tokens = 10, .extra_key = ""}).message,
            "32 prompt tokens and 10 new tokens need 11 KV blocks, the pool has 10");
  EXPECT_EQ(refusal({.prompt = {1}, .max_new_tokens = 0, .extra_key = ""}).message,
            "max_new_tokens is 0, it must be at least 1");
  EXPECT_EQ(refusal({.prompt = {1}, .max_new_tokens = 1, .outputs = 5, .extra_key = ""}).message,
            "5 outputs were asked for, from 1 to 4 can run");
  EXPECT_EQ(
      refusal({.prompt = {1}, .max_new_tokens = 1, .extra_key = std::string(17, 'k')}).message,
      "the cache key has 17 bytes, at most 16 are allowed");
  submit(count_from(0, 31), 10);  // 40 computed tokens fill the pool exactly
  const Error full = refusal({.prompt = {1}, .max_new_tokens = 1, .extra_key = ""});
  EXPECT_EQ(full.kind, ErrorKind::resource);
  EXPECT_EQ(full.message, "1 requests are queued, no more than 1 may be");
  while (scheduler_->has_work()) commit(plan());
}

TEST_F(SchedulerTest, OnePromptIsComputedOnceForAllOutputs) {
  make(kv_config(100));
  submit(count_from(0, 6), 5, 4);
  const Plan* made = &plan();
  ASSERT_EQ(made->items.size(), 1u);
  EXPECT_EQ(made->items[0].sample_count, 4);
  EXPECT_EQ(made->samples.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(scheduler_->sequence(made->samples[i]).output_index(), static_cast<int32_t>(i));
  }
  EXPECT_EQ(in_use(), 2);
  commit(*made);
  made = &plan();
  ASSERT_EQ(made->items.size(), 4u);
  // Three copy the half-full block; the last owner writes into it.
  EXPECT_EQ(made->moves.copies.size(), 3u);
  EXPECT_EQ(scheduler_->counters().copies, 3);
  EXPECT_EQ(in_use(), 5);
  for (const PlanItem& item : made->items) {
    const Sequence& s = scheduler_->sequence(item.sequence);
    EXPECT_EQ(s.tokens()[6], 7000 + s.output_index());
  }
  commit(*made);
  while (scheduler_->has_work()) commit(plan());
  EXPECT_EQ(in_use(), 0);
}

TEST_F(SchedulerTest, HundredTwentyEightOutputsShareAllButThePartialBlock) {
  SchedulerLimits limits = wide_limits();
  limits.max_running_sequences = 128;
  make(kv_config(1000), limits);
  submit(count_from(0, 402), 2, 128);  // 100 full blocks and half of one
  const Plan& prompt = plan();
  EXPECT_EQ(prompt.token_count, 402);
  commit(prompt);
  EXPECT_EQ(in_use(), 101);
  const Plan& next = plan();
  EXPECT_EQ(next.token_count, 128);
  EXPECT_EQ(scheduler_->counters().copies, 127);  // the last owner keeps it
  EXPECT_EQ(in_use(), 100 + 128);
  commit(next);
  EXPECT_EQ(in_use(), 0);
}

TEST_F(SchedulerTest, ManyWithOnePrefixComputeItOnce) {
  make(kv_config(1000));
  const size_t prefix = 40;
  for (TokenId user = 0; user < 32; ++user) {
    Tokens prompt = count_from(0, prefix);
    prompt.push_back(1000 + user);
    submit(prompt, 2);
  }
  int32_t computed = 0;
  int32_t steps = 0;
  while (scheduler_->has_work()) {
    const Plan& made = plan(16);
    computed += made.token_count;
    ++steps;
    commit(made);
  }
  // The prefix, and of each user one token of prompt and one that was drawn.
  EXPECT_EQ(computed, 40 + 2 * 32);
  EXPECT_LT(steps, 12);
  EXPECT_EQ(scheduler_->counters().prefix_hit_tokens, 31 * 40);
}

TEST_F(SchedulerTest, AReaderRunsInTheStepThatWritesItsPrefix) {
  make(kv_config(100));
  submit(count_from(0, 9));
  submit(count_from(0, 9));
  const Plan& made = plan();
  ASSERT_EQ(made.items.size(), 2u);
  EXPECT_EQ(made.items[1].first_position, 8);
  EXPECT_EQ(made.items[1].q_len, 1);
  EXPECT_EQ(scheduler_->sequence(made.items[1].sequence).table(0)[1],
            scheduler_->sequence(made.items[0].sequence).table(0)[1]);
}

TEST_F(SchedulerTest, AReaderTakesOverFromACancelledWriter) {
  make(kv_config(100));
  const RequestId writer = submit(count_from(0, 30));
  const RequestId reader = submit(count_from(0, 30));
  const RequestId unrelated = submit(count_from(500, 3));
  commit(plan(10));
  const Plan* made = &plan(10);
  for (const PlanItem& item : made->items) EXPECT_NE(request_of(item), reader);
  scheduler_->cancel(writer);
  expect_sound();
  commit(*made);
  made = &plan(14);
  ASSERT_EQ(made->items.size(), 2u);
  EXPECT_EQ(request_of(made->items[0]), reader);
  EXPECT_EQ(made->items[0].first_position, 20);  // all that the writer did is used
  EXPECT_EQ(request_of(made->items[1]), unrelated);
  commit(*made);
}

TEST_F(SchedulerTest, GeneratedTokensAreFoundByTheNextTurn) {
  make(kv_config(100));
  submit(count_from(0, 6), 7);
  Tokens history = count_from(0, 6);
  while (scheduler_->has_work()) commit(plan());
  history.insert(history.end(), 7, 7000);
  history.push_back(5);
  submit(history);
  const Plan& made = plan();
  // 12 tokens were computed: the last one drawn was not.
  EXPECT_EQ(made.items[0].first_position, 12);
}

TEST_F(SchedulerTest, ThePrefixCacheCanBeSwitchedOff) {
  KvConfig off = kv_config(100);
  off.prefix_cache = false;
  make(off);
  submit(count_from(0, 9));
  submit(count_from(0, 9));
  EXPECT_EQ(plan().token_count, 18);
}

TEST_F(SchedulerTest, WithoutThePrefixCacheAPreemptedSequenceStillComesBackFromTheHostTier) {
  KvConfig off = kv_config(6);
  off.prefix_cache = false;
  off.host_blocks = 6;
  make(off);
  submit(count_from(0, 6), 15);
  submit(count_from(100, 6), 15);
  int64_t computed = 0;
  while (scheduler_->has_work()) {
    const Plan& made = plan();
    computed += made.token_count;
    commit(made);
  }
  const SchedulerCounters counters = scheduler_->counters();
  EXPECT_GT(counters.swap_preemptions, 0);
  EXPECT_GT(counters.swapped_in, 0);
  EXPECT_LT(computed, 2 * (6 + 14) + 8) << "what was computed before is computed again";
  EXPECT_EQ(scheduler_->kv().counts().cached, 0);  // nobody else may find it
  EXPECT_EQ(scheduler_->cached_blocks(count_from(0, 6), ""), 0);
}

// The outputs share their prompt; the one that is preempted finds it again though the others have
// ended by then.
TEST_F(SchedulerTest, WithoutThePrefixCacheAPreemptedOutputFindsWhatItsSiblingsComputed) {
  KvConfig off = kv_config(8);
  off.prefix_cache = false;
  make(off);
  submit(count_from(0, 13), 16, 3);
  while (scheduler_->has_work()) commit(plan());
  EXPECT_GT(scheduler_->counters().preemptions, 0);
  EXPECT_GE(scheduler_->counters().prefix_hit_tokens, 12);
  EXPECT_EQ(scheduler_->kv().counts().cached, 0) << "nobody else may find it";
}

// What sequences find free to grow into follows what they hold, not how many they are.
TEST_F(SchedulerTest, ShortSequencesKeepLittleRoomToGrow) {
  SchedulerLimits limits = wide_limits();
  make(kv_config(40), limits);
  for (TokenId i = 0; i < 60; ++i) submit(count_from(100 * i, 3));
  plan();
  // One block each: 32 of them, and eight free for all. A free one for each would let 20 run.
  EXPECT_EQ(scheduler_->running_sequences(), 32);

  make(kv_config(44), limits);
  for (TokenId i = 0; i < 60; ++i) submit(count_from(100 * i, 39));
  plan();
  // Ten blocks each: a free one for each is less than what eight of them hold.
  EXPECT_EQ(scheduler_->running_sequences(), 4);
}

TEST_F(SchedulerTest, RequestsOfDifferentKeysShareNothing) {
  make(kv_config(100));
  for (const char* key : {"", "a", "b"}) {
    ASSERT_TRUE(
        scheduler_->submit({.prompt = count_from(0, 9), .max_new_tokens = 1, .extra_key = key})
            .ok());
  }
  EXPECT_EQ(plan().token_count, 27);
}

TEST_F(SchedulerTest, ADryPoolPreemptsTheLatestAndKeepsItsTokens) {
  make(kv_config(6));
  const RequestId old = submit(count_from(0, 6), 15);
  const RequestId young = submit(count_from(100, 6), 15);
  std::vector<RequestId> finished;
  std::map<RequestId, int32_t> longest;
  while (scheduler_->has_work()) {
    const Plan& made = plan();
    ASSERT_FALSE(made.empty());
    for (const PlanItem& item : made.items) {
      const Sequence& s = scheduler_->sequence(item.sequence);
      EXPECT_GE(s.generated_length(), longest[s.request()]);  // nothing is lost
      longest[s.request()] = s.generated_length();
    }
    commit(made);
  }
  EXPECT_GT(scheduler_->counters().preemptions, 0);
  EXPECT_EQ(longest[old], 14);
  EXPECT_EQ(longest[young], 14);
}

TEST_F(SchedulerTest, RunningAheadNamesTheRowOfThePreviousStep) {
  make(kv_config(100));
  submit(count_from(0, 5), 3);
  submit(count_from(100, 6), 3);
  const Plan& first = plan();
  const Plan& second = plan();
  ASSERT_EQ(second.items.size(), 2u);
  EXPECT_EQ(second.items[0].previous_row, 0);
  EXPECT_EQ(second.items[1].previous_row, 1);
  EXPECT_EQ(second.items[1].first_position, 6);
  commit(first);
  const Plan& third = plan();
  EXPECT_EQ(third.items[1].previous_row, 1);
  commit(second);
  // Each has its three tokens when the third is committed: no fourth step was planned.
  EXPECT_TRUE(plan().empty());
  commit(third);
  EXPECT_FALSE(scheduler_->has_work());
}

TEST_F(SchedulerTest, ASequenceThatEndsWhileAStepIsInFlightIsFreedOnceAndLater) {
  make(kv_config(100));
  submit(count_from(0, 5), 10);
  const Plan& first = plan();
  const SequenceId id = first.samples[0];
  const Plan& second = plan();
  commit(first, true);
  EXPECT_TRUE(scheduler_->sequence(id).over());
  EXPECT_FALSE(scheduler_->has_work());
  EXPECT_EQ(in_use(), 2);  // the second step still uses them
  submit(count_from(200, 5));
  const Plan& third = plan();
  EXPECT_NE(third.samples[0], id);
  commit(second);  // its sample is ignored
  EXPECT_EQ(in_use(), 2);
  commit(third);
}

TEST_F(SchedulerTest, CancelWorksAtAnyTimeAndTwice) {
  make(kv_config(100));
  const RequestId waiting = submit(count_from(0, 5));
  scheduler_->cancel(waiting);
  scheduler_->cancel(waiting);
  scheduler_->cancel(12345);
  EXPECT_FALSE(scheduler_->has_work());
  EXPECT_EQ(scheduler_->queued_requests(), 0);
  const RequestId running = submit(count_from(0, 5), 10, 3);
  const Plan& first = plan();
  const Plan& second = plan();
  scheduler_->cancel(running);
  expect_sound();
  scheduler_->cancel(running);
  EXPECT_FALSE(scheduler_->has_work());
  EXPECT_GT(in_use(), 0);
  commit(first);
  commit(second);
  EXPECT_EQ(in_use(), 0);
}

TEST_F(SchedulerTest, NoAcceptedTokenMeansTheLastOneIsComputedAgain) {
  make(kv_config(100));
  submit(count_from(0, 8), 5);
  const Plan& first = plan();
  const SequenceId id = first.samples[0];
  const Plan& second = plan();  // runs ahead on a sample that will be rejected
  EXPECT_EQ(second.items[0].first_position, 8);
  scheduler_->commit(first, std::vector<SampleResult>(1));
  expect_sound();
  EXPECT_FALSE(scheduler_->sequence(id).wants_results_of(second.step));
  const Plan& third = plan();
  EXPECT_EQ(third.items[0].first_position, 7);
  EXPECT_EQ(third.items[0].previous_row, -1);
  EXPECT_EQ(third.items[0].sample_count, 1);
  commit(second);
  EXPECT_EQ(scheduler_->sequence(id).generated_length(), 0);
  commit(third);
  EXPECT_EQ(scheduler_->sequence(id).generated_length(), 1);
  EXPECT_EQ(plan().items[0].first_position, 8);
}

TEST_F(SchedulerTest, AWindowedSequenceHoldsOnlyItsWindow) {
  make(kv_config(100, {{0}, {8}}));
  submit(count_from(0, 4), 60);
  int32_t most = 0;
  while (scheduler_->has_work()) {
    const Plan& made = plan();
    const auto table = scheduler_->sequence(made.items[0].sequence).table(1);
    most = std::max(most, static_cast<int32_t>(std::ranges::count_if(
                              table, [](BlockId block) { return block != kNoBlock; })));
    commit(made);
  }
  EXPECT_EQ(most, 3);
}

TEST_F(SchedulerTest, AWindowLetsARequestFitThatWouldNotOtherwise) {
  make(kv_config(4, {{8}}));
  submit(count_from(0, 100), 50);
  while (scheduler_->has_work()) {
    const Plan& made = plan();
    ASSERT_FALSE(made.empty());
    commit(made);
  }
}

TEST_F(SchedulerTest, ReleaseIdleGivesEverythingBack) {
  make(kv_config(100));
  submit(count_from(0, 30), 2);
  while (scheduler_->has_work()) commit(plan());
  EXPECT_EQ(scheduler_->release_idle(), (std::vector<ExtentId>{1, 0}));
  EXPECT_EQ(scheduler_->kv().counts().uncommitted, 100);
}

TEST_F(SchedulerTest, ASnapshotSaysWhichRequestsHoldWhichBlocks) {
  make(kv_config(10));
  const RequestId two = submit(count_from(0, 6), 10, /*outputs=*/2);
  const RequestId one = submit(count_from(0, 9));
  plan();
  const CacheSnapshot now = scheduler_->snapshot();
  ASSERT_EQ(now.sequences.size(), 3u);
  EXPECT_EQ(now.sequences[1].request, two);
  EXPECT_EQ(now.sequences[1].output_index, 1);
  EXPECT_EQ(now.sequences[1].computed_tokens, 6);
  EXPECT_EQ(now.sequences[2].request, one);
  EXPECT_EQ(now.sequences[2].prompt_tokens, 9);
  const SequenceId leader = now.sequences[0].sequence;
  const BlockId prefix = scheduler_->sequence(leader).table(0)[0];
  EXPECT_EQ(now.blocks[static_cast<size_t>(prefix)].owners, (std::vector<int32_t>{0, 1, 2}));
  EXPECT_EQ(now.saved_blocks, 3);
}

TEST_F(SchedulerTest, PlansAreCommittedInOrder) {
  make(kv_config(100));
  submit(count_from(0, 5));
  plan();
  const Plan& second = plan();
  EXPECT_DEATH(commit(second), "not the oldest");
}

TEST_F(SchedulerTest, WhereMemoryIsRefusedTheLastWaitsForTheFirst) {
  make(kv_config(100));
  extents_left_ = 2;  // of four blocks
  submit(count_from(0, 12), 12);
  submit(count_from(100, 12), 12);
  commit(plan());
  EXPECT_EQ(asked_, (std::vector<ExtentId>{0, 1}));
  while (scheduler_->running_sequences() == 2) commit(plan());
  EXPECT_EQ(asked_, (std::vector<ExtentId>{0, 1, 2}));
  EXPECT_EQ(scheduler_->preempted_sequences(), 1);
  EXPECT_EQ(scheduler_->kv().counts().uncommitted, 92);
  // Both end with less than the pool allows, one after the other.
  int steps = 0;
  for (; scheduler_->has_work(); ++steps) {
    const Plan& made = plan();
    ASSERT_FALSE(made.empty());
    commit(made);
  }
  EXPECT_GT(steps, 8);
  EXPECT_EQ(asked_.size(), 3u) << "no second has passed";
}

TEST_F(SchedulerTest, AWaitingRequestStarvesAloneAndFitsWhenMemoryIsBack) {
  make(kv_config(100));
  extents_left_ = 0;
  const RequestId first = submit(count_from(0, 30));
  const RequestId second = submit(count_from(50, 3));
  EXPECT_TRUE(plan().empty());
  EXPECT_EQ(scheduler_->starving(), first);
  scheduler_->cancel(first);
  EXPECT_TRUE(plan().empty());
  EXPECT_EQ(scheduler_->starving(), second);
  EXPECT_EQ(asked_.size(), 1u);
  extents_left_ = 1;
  scheduler_->set_time(1000);
  commit(plan());
  EXPECT_EQ(scheduler_->starving(), std::nullopt);
  while (scheduler_->has_work()) commit(plan());
}

TEST_F(SchedulerTest, ARunningRequestStarvesOnceItHasEverything) {
  make(kv_config(100));
  extents_left_ = 1;
  const RequestId large = submit(count_from(0, 10), 50);
  const RequestId small = submit(count_from(50, 2), 2);
  for (int step = 0; step < 100 && scheduler_->starving() != large; ++step) {
    const Plan& made = plan();
    if (!made.empty()) commit(made);
  }
  EXPECT_EQ(scheduler_->starving(), large);
  EXPECT_EQ(in_use(), 4) << "all there is";
  scheduler_->cancel(large);
  while (scheduler_->has_work()) {
    const Plan& made = plan();
    ASSERT_EQ(made.items.size(), 1u);
    EXPECT_EQ(request_of(made.items[0]), small);
    commit(made);
  }
}

// What is cached for a part of a prompt takes a block more than to compute it.
TEST_F(SchedulerTest, APartialHitIsLeftOutWhereItsCopyHasNoMemory) {
  make(kv_config(8));
  extents_left_ = 1;
  submit(count_from(0, 14), 1);
  commit(plan());  // four cached blocks, all there is; the last holds 13 or 14 tokens
  Tokens longer = count_from(0, 14);
  longer.push_back(500);
  submit(longer, 1);
  const Plan& made = plan();
  ASSERT_FALSE(made.empty());
  EXPECT_EQ(made.items[0].first_position, 12);
  EXPECT_EQ(asked_, (std::vector<ExtentId>{0, 1}));
  commit(made);
}

// To preempt the last one would have been enough with the memory that is refused then.
TEST_F(SchedulerTest, ARefusalLetsTheSamePlanPreemptMore) {
  KvConfig kv = kv_config(14);
  kv.extent_blocks = 11;  // and one of three
  make(kv);
  extents_left_ = 1;
  submit(count_from(100, 4), 40, 1, 1);
  submit(count_from(200, 4), 40, 1, 1);
  commit(plan());
  const RequestId first = submit(count_from(0, 32), 10);
  // The others grow by four blocks each, while the prompt gets on by single tokens.
  for (int step = 0; step < 9; ++step) commit(plan(3));
  EXPECT_EQ(scheduler_->running_sequences(), 3);
  EXPECT_EQ(in_use(), 11);
  EXPECT_EQ(scheduler_->kv().available(), 3);
  EXPECT_EQ(asked_, std::vector<ExtentId>{0});
  const Plan& made = plan();  // the rest of the prompt takes five
  EXPECT_EQ(asked_, (std::vector<ExtentId>{0, 1}));
  ASSERT_EQ(made.items.size(), 1u);
  EXPECT_EQ(request_of(made.items[0]), first);
  EXPECT_EQ(made.items[0].q_len, 23);
  EXPECT_EQ(scheduler_->preempted_sequences(), 2);
  commit(made);
}

}  // namespace
}  // namespace octavo
