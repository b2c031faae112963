// Beams: how the scheduler forks, shares and drops them, and serves them as one.
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <vector>

#include "kv/token_runs.h"
#include "sched/scheduler_fixture.h"

namespace octavo {
namespace {

class GangTest : public SchedulerFixture {
 protected:
  void make(int32_t max_blocks, SchedulerLimits limits = {.context_length = 1000}) {
    KvConfig kv;
    kv.block_size = 4;
    kv.max_blocks = max_blocks;
    kv.extent_blocks = 4;
    scheduler_ = std::make_unique<Scheduler>(kv, limits);
  }

  RequestId submit(size_t prompt, int32_t beam_width, int32_t max_new_tokens = 20,
                   int32_t priority = 0) {
    const auto first = static_cast<TokenId>(1000 * ++submitted_);
    const Result<RequestId> id = scheduler_->submit({.prompt = count_from(first, prompt),
                                                     .max_new_tokens = max_new_tokens,
                                                     .beam_width = beam_width,
                                                     .priority = priority,
                                                     .extra_key = ""});
    EXPECT_TRUE(id.ok());
    return id.value();
  }

  // Commits `branches[i]` for the i-th beam of the plan, and a token for every other sample.
  void commit(const Plan& made, const std::vector<std::vector<Branch>>& branches) {
    const TokenId token = 7;
    std::vector<SampleResult> results;
    size_t beam = 0;
    for (const SequenceId id : made.samples) {
      const bool single = singles_.contains(scheduler_->sequence(id).request());
      results.push_back({.accepted = {&token, single ? 1u : 0u}});
      if (!single) results.back().branches = branches.at(beam++);
    }
    EXPECT_EQ(beam, branches.size());
    scheduler_->commit(made, results);
    expect_sound();
  }

  int64_t copies() const { return scheduler_->counters().copies; }

  std::set<RequestId> singles_;
  int32_t submitted_ = 0;
};

TEST_F(GangTest, ABeamBranchesAndAnotherDies) {
  make(100);
  submit(6, 3);
  const Plan* made = &plan();
  ASSERT_EQ(made->samples.size(), 1u);
  commit(*made, {{{100, 0}, {200, 1}, {300, 2}}});
  EXPECT_EQ(in_use(), 2);  // all three have the prompt's blocks

  made = &plan();
  ASSERT_EQ(made->items.size(), 3u);
  for (int32_t beam = 0; beam < 3; ++beam) {
    const Sequence& s = scheduler_->sequence(made->samples[static_cast<size_t>(beam)]);
    EXPECT_EQ(s.beam(), beam);
    EXPECT_EQ(s.tokens().back(), 100 * (beam + 1));
    EXPECT_EQ(made->items[static_cast<size_t>(beam)].first_position, 6);
  }
  // The partial block was copied for two; the third has it for itself. The full one is shared.
  EXPECT_EQ(made->moves.copies.size(), 2u);
  EXPECT_EQ(in_use(), 4);
  const SequenceId second = made->samples[1];
  commit(*made, {{}, {{11, 1}, {12, 0}}, {{13, 2}}});
  EXPECT_EQ(in_use(), 3);  // the first is gone with its block
  EXPECT_EQ(scheduler_->sequence(second).output_index(), 1);

  made = &plan();
  EXPECT_EQ(made->moves.copies.size(), 1u);  // one fork, one copy
  ASSERT_EQ(made->samples.size(), 3u);
  std::vector<TokenId> last(3);
  for (const SequenceId id : made->samples) {
    const Sequence& s = scheduler_->sequence(id);
    last.at(static_cast<size_t>(s.beam())) = s.tokens().back();
  }
  EXPECT_EQ(last, (std::vector<TokenId>{12, 11, 13}));
  EXPECT_EQ(scheduler_->sequence(second).tokens().back(), 11);
  commit(*made, {{}, {}, {}});
  EXPECT_FALSE(scheduler_->has_work());
  EXPECT_EQ(in_use(), 0);
}

// The only bytes that ever move are the partial blocks of forks that go on writing.
TEST_F(GangTest, AForkAtABlocksEdgeCopiesNothing) {
  make(100);
  submit(4, 4);
  commit(plan(), {{{1, 0}, {2, 1}, {3, 2}, {4, 3}}});
  for (int step = 0; step < 4; ++step) {
    commit(plan(), {{{5, 0}}, {{5, 1}}, {{5, 2}}, {{5, 3}}});
  }
  EXPECT_EQ(copies(), 0);
  EXPECT_EQ(in_use(), 5);
  const Plan& made = plan();  // each has begun its third block
  EXPECT_EQ(in_use(), 9);
  commit(made, {{{1, 0}, {2, 1}, {3, 2}, {4, 3}}, {}, {}, {}});
  EXPECT_EQ(in_use(), 3);
  commit(plan(), {{}, {}, {}, {}});
  EXPECT_EQ(copies(), 3);
}

TEST_F(GangTest, NothingIsPlannedBeforeTheChoice) {
  make(100);
  submit(6, 2);
  const Plan& first = plan();
  EXPECT_TRUE(plan().empty());
  commit(first, {{{1, 0}, {2, 1}}});
  const Plan& second = plan();
  singles_.insert(submit(5, 0));
  const Plan& ahead = plan();  // the other request goes on meanwhile
  ASSERT_EQ(ahead.items.size(), 1u);
  EXPECT_TRUE(singles_.contains(scheduler_->sequence(ahead.items[0].sequence).request()));
  commit(second, {{{1, 0}}, {{2, 1}}});
  commit(ahead, {});
  EXPECT_EQ(plan().items.size(), 3u);
}

TEST_F(GangTest, AllBeamsFitIntoTheBudgetOrNone) {
  make(100);
  singles_ = {submit(3, 0), submit(3, 0)};
  submit(6, 3);
  commit(plan(), {{{1, 0}, {2, 1}, {3, 2}}});
  const Plan& made = plan(4);  // two are served before; two tokens are left for three beams
  EXPECT_EQ(made.token_count, 2);
  commit(made, {});
  EXPECT_EQ(plan(5).token_count, 5);
}

TEST_F(GangTest, APreemptedGangComesBackFromItsCommonPart) {
  make(14);
  submit(9, 3, 12);
  commit(plan(), {{{1, 0}, {2, 1}, {3, 2}}});
  commit(plan(), {{}, {{5, 0}, {6, 1}, {7, 2}}, {}});  // 2 is common now: 10 tokens
  singles_ = {submit(20, 0, 20, -1)};                  // goes first and grows into all there is
  std::vector<std::vector<PlanItem>> back;             // the gang's steps since it was preempted
  std::vector<std::vector<TokenId>> beams(3);
  while (scheduler_->has_work()) {
    const Plan& made = plan();
    const Sequence& served_first = scheduler_->sequence(made.items.front().sequence);
    if (scheduler_->counters().preemptions > 0 && !singles_.contains(served_first.request())) {
      back.push_back(made.items);
    }
    std::vector<std::vector<Branch>> branches;
    for (const SequenceId id : made.samples) {
      const Sequence& s = scheduler_->sequence(id);
      if (singles_.contains(s.request())) continue;
      branches.push_back({{8, s.beam()}});
      beams[static_cast<size_t>(s.beam())].assign(s.tokens().begin() + 9, s.tokens().end());
    }
    commit(made, branches);
  }
  EXPECT_EQ(scheduler_->counters().preemptions, 3);
  for (size_t beam = 0; beam < 3; ++beam) {
    ASSERT_EQ(beams[beam].size(), 11u);
    EXPECT_EQ(beams[beam][0], 2);
    EXPECT_EQ(beams[beam][1], static_cast<TokenId>(5 + beam));
  }
  // The first computes the common part, all compute what is theirs, then their last tokens.
  ASSERT_GE(back.size(), 3u);
  ASSERT_EQ(back[0].size(), 1u);
  EXPECT_EQ(back[0][0].first_position + back[0][0].q_len, 10);
  EXPECT_EQ(back[0][0].sample_count, 0);
  ASSERT_EQ(back[1].size(), 3u);
  for (const PlanItem& item : back[1]) {
    EXPECT_EQ(item.first_position, 10);
    EXPECT_EQ(item.sample_count, 0);
  }
  ASSERT_EQ(back[2].size(), 3u);
  for (const PlanItem& item : back[2]) EXPECT_EQ(item.sample_count, 1);
  EXPECT_EQ(in_use(), 0);
}

TEST_F(GangTest, BeamsThatComeBackKeepToTheBudget) {
  make(14);
  submit(9, 3, 12);
  commit(plan(), {{{1, 0}, {2, 1}, {3, 2}}});
  const std::vector<std::vector<Branch>> go_on = {{{5, 0}}, {{5, 1}}, {{5, 2}}};
  for (int step = 0; step < 2; ++step) commit(plan(), go_on);
  const RequestId other = submit(20, 0, 20, -1);  // goes first, until the gang has no blocks
  singles_ = {other};
  while (scheduler_->counters().preemptions == 0) {
    const Plan& made = plan();
    commit(made,
           scheduler_->counters().preemptions == 0 ? go_on : std::vector<std::vector<Branch>>{});
  }
  scheduler_->cancel(other);
  // What each beam has for itself is more than one step may compute.
  int32_t steps = 0;
  for (; scheduler_->has_work(); ++steps) {
    const Plan& made = plan(3);
    ASSERT_FALSE(made.empty());
    EXPECT_LE(made.token_count, 3);
    commit(made, made.samples.empty() ? std::vector<std::vector<Branch>>{} : go_on);
  }
  EXPECT_GT(steps, 8);
}

TEST_F(GangTest, RefusesWhatCanNeverRunAndSaysTheNumbers) {
  make(10, {.context_length = 100, .max_running_sequences = 20, .max_beam_width = 6});
  const auto refusal = [&](int32_t width, int32_t outputs, int32_t max_new_tokens) {
    const RequestSpec spec{.prompt = count_from(0, 8),
                           .max_new_tokens = max_new_tokens,
                           .outputs = outputs,
                           .beam_width = width,
                           .extra_key = ""};
    const Result<void> status = scheduler_->check(spec);
    return status.ok() ? "" : status.error().message;
  };
  EXPECT_EQ(refusal(7, 1, 4), "7 beams were asked for, up to 6 can run");
  EXPECT_EQ(refusal(-1, 1, 4), "-1 beams were asked for, up to 6 can run");
  EXPECT_EQ(refusal(2, 2, 4), "2 outputs of a beam search were asked for, it has 1");
  // Two blocks of the prompt, and two for the rest of each of the four.
  EXPECT_EQ(refusal(4, 1, 9), "");
  EXPECT_EQ(refusal(4, 1, 10),
            "8 prompt tokens and 10 new tokens of 4 beams need 14 KV blocks, the pool has 10");
}

}  // namespace
}  // namespace octavo
