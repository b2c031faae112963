// Requests of different extra keys (a tenant's salt is one) learn nothing of each other's prompts:
// not from what they find, and not from how long they take.
#include <gtest/gtest.h>

#include <tuple>
#include <vector>

#include "kv/token_runs.h"
#include "sched/scheduler.h"

namespace octavo {
namespace {

// All that a step's duration depends on: what is computed, and what is moved.
struct StepShape {
  std::vector<std::tuple<SequenceId, int32_t, int32_t>> items;  // sequence, first position, q_len
  size_t swapped_out = 0;
  size_t swapped_in = 0;
  size_t copies = 0;
  friend bool operator==(const StepShape&, const StepShape&) = default;
};

constexpr size_t kPromptTokens = 22;  // five blocks and a part of the sixth

// The steps of a server where one tenant asks `secret`, others ask other things and another tenant
// asks `guess`, before and after the secret's blocks went to the host tier.
std::vector<StepShape> observe(const Tokens& secret, const Tokens& guess,
                               const std::string& key_of_the_guess) {
  Scheduler scheduler({.block_size = 4,
                       .groups = {{0}, {9}},
                       .max_blocks = 24,
                       .extent_blocks = 4,
                       .host_blocks = 12},
                      {.context_length = 64});
  std::vector<StepShape> steps;
  const auto serve = [&](const Tokens& prompt, const std::string& key) {
    const auto id = scheduler.submit({.prompt = prompt, .max_new_tokens = 6, .extra_key = key});
    EXPECT_TRUE(id.ok());
    while (scheduler.has_work()) {
      const Plan& plan = scheduler.plan(16);
      StepShape& step = steps.emplace_back();
      for (const PlanItem& item : plan.items) {
        step.items.emplace_back(item.sequence, item.first_position, item.q_len);
      }
      step.swapped_out = plan.moves.swap_out.size();
      step.swapped_in = plan.moves.swap_in.size();
      step.copies = plan.moves.copies.size();
      const Tokens drawn(plan.samples.size(), 7000);
      std::vector<SampleResult> results(plan.samples.size());
      for (size_t row = 0; row < results.size(); ++row) results[row].accepted = {&drawn[row], 1};
      scheduler.commit(plan, results);
    }
  };
  serve(secret, "salt of the tenant with the secret");
  serve(guess, key_of_the_guess);
  for (const TokenId other : {1000, 2000, 3000}) serve(count_from(other, kPromptTokens), "");
  serve(guess, key_of_the_guess);
  return steps;
}

TEST(CacheSalt, AGuessedPromptLooksLikeAnyOther) {
  const Tokens guess = count_from(0, kPromptTokens);
  const Tokens unlike = count_from(500, kPromptTokens);
  for (const char* key : {"", "salt of another tenant"}) {
    EXPECT_EQ(observe(guess, guess, key), observe(unlike, guess, key)) << key;
  }
  // The comparison does see what a shared cache would show.
  const std::string same = "salt of the tenant with the secret";
  EXPECT_NE(observe(guess, guess, same), observe(unlike, guess, same));
}

}  // namespace
}  // namespace octavo
