// What a device is told about a step's draws: the adjustments do to the logits what the CPU's
// sampler does to them, no row sees another's, and results have places of their own. The plan is
// made by the host, so this needs no device.
#include "backend/cuda/sample_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>
#include <set>

#include "backend/random.h"
#include "backend/random_values.h"
#include "backend/sampler.h"

namespace octavo::cuda {
namespace {

constexpr int32_t kVocabulary = 61;
constexpr int32_t kLogitsRows = 5;

// Rows to draw, with what their spans show.
struct Rows {
  SampleRow& add(int32_t logits_row, const SamplingParams& own) {
    rows.push_back({.logits_row = logits_row, .params = &params.emplace_back(own)});
    return rows.back();
  }
  std::span<const int32_t> keep(std::vector<int32_t> values) {
    return lists.emplace_back(std::move(values));
  }

  std::vector<SampleRow> rows;
  std::deque<SamplingParams> params;
  std::deque<std::vector<int32_t>> lists;
};

std::vector<int32_t> random_tokens(std::mt19937& random, int count) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (int32_t& token : tokens) token = random_int(random, 0, kVocabulary - 1);
  return tokens;
}

Rows random_rows(std::mt19937& random) {
  Rows made;
  const auto chance = [&](int in) { return random_int(random, 1, in) == 1; };
  for (int i = random_int(random, 1, 12); i > 0; --i) {
    SamplingParams params;
    params.temperature = chance(3) ? 0.0F : 1.0F;
    if (chance(3)) params.repetition_penalty = 1.3F;
    if (chance(3)) params.frequency_penalty = 0.7F;
    if (chance(3)) params.presence_penalty = -0.4F;
    if (chance(4)) params.typical_p = 0.9F;
    if (chance(3)) params.logprobs = random_int(random, 0, 100);
    if (chance(3)) {
      for (const int32_t token : random_tokens(random, 30)) {
        params.logit_bias.push_back({token, random_values(random, 1)[0]});
      }
    }
    SampleRow& row = made.add(random_int(random, 0, kLogitsRows - 1), params);
    row.seed = random();
    row.tokens = made.keep(random_tokens(random, random_int(random, 0, 40)));
    row.prompt_length = random_int(random, 0, static_cast<int>(row.tokens.size()));
    if (chance(3)) row.banned = made.keep(random_tokens(random, random_int(random, 1, 9)));
    if (chance(8)) row.forced = random_int(random, 0, kVocabulary - 1);
  }
  return made;
}

// What the device does with a request of the plan.
std::vector<float> adjust(std::vector<float> row, const AdjustRequest& request,
                          const SamplePlan& plan, std::span<const uint32_t> masks) {
  for (size_t token = 0; request.mask >= 0 && token < row.size(); ++token) {
    const uint32_t word = masks[static_cast<size_t>(request.mask) + token / 32];
    if ((word >> token % 32 & 1) == 0) row[token] = -INFINITY;
  }
  const SampleEdit* edits = plan.edits.data() + request.first_edit;
  for (int32_t i = 0; i < request.additions; ++i) {
    row[static_cast<size_t>(edits[i].token)] += edits[i].value;
  }
  for (int32_t i = request.additions; i < request.additions + request.seen; ++i) {
    float& logit = row[static_cast<size_t>(edits[i].token)];
    logit = logit > 0 ? logit / request.repetition : logit * request.repetition;
    if (edits[i].value > 0) logit -= edits[i].value * request.frequency + request.presence;
  }
  return row;
}

TEST(CudaSamplePlan, AdjustsLogitsAsTheCpuDoes) {
  std::mt19937 random(4);
  SamplePlanner planner;
  SamplerScratch scratch;
  for (int trial = 0; trial < 300; ++trial) {
    const Rows made = random_rows(random);
    const std::vector<float> logits =
        random_values(random, size_t{kLogitsRows} * kVocabulary, 3.0F);
    constexpr size_t kWords = (kVocabulary + 31) / 32;
    std::vector<uint32_t> masks(trial % 2 == 0 ? made.rows.size() * kWords : 0);
    for (uint32_t& word : masks) word = static_cast<uint32_t>(random());
    const SamplePlan& plan = planner.plan(kLogitsRows, kVocabulary, made.rows, !masks.empty());
    for (const SampleRequest& request : plan.requests) {
      const auto place = static_cast<size_t>(request.place);
      const SampleRow& row = made.rows[place];
      const std::span<const uint32_t> mask =
          masks.empty() ? masks : std::span(masks).subspan(place * kWords, kWords);
      const auto first = logits.begin() + ptrdiff_t{row.logits_row} * kVocabulary;
      std::vector<float> own(first, first + kVocabulary);
      const int32_t expected = sample_row(own, row, mask, scratch).token;
      const auto adjusted =
          std::find_if(plan.adjusts.begin(), plan.adjusts.end(),
                       [&](const AdjustRequest& other) { return other.to == request.row; });
      if (adjusted != plan.adjusts.end() && row.forced < 0) {
        ASSERT_EQ(adjusted->from, row.logits_row);
        own = adjust(own, *adjusted, plan, masks);
      }
      const SamplingParams bare{.temperature = row.params->temperature,
                                .typical_p = row.params->typical_p};
      SampleRow plain{.params = &bare, .seed = row.seed, .forced = row.forced};
      ASSERT_EQ(sample_row(own, plain, {}, scratch).token, expected) << trial;
    }
  }
}

TEST(CudaSamplePlan, NoRowSeesTheEditsOfAnother) {
  std::mt19937 random(5);
  SamplePlanner planner;
  for (int trial = 0; trial < 300; ++trial) {
    const Rows made = random_rows(random);
    const SamplePlan& plan =
        planner.plan(kLogitsRows, kVocabulary, made.rows, /*is_masked=*/trial % 3 == 0);
    std::set<int32_t> written;
    for (const AdjustRequest& request : plan.adjusts) {
      EXPECT_TRUE(written.insert(request.to).second);
      EXPECT_TRUE(request.to == request.from || (request.to < 0 && ~request.to < plan.copies));
    }
    // A row that is written is read by one draw alone, and nobody wants its log probabilities.
    std::multiset<int32_t> read;
    for (const SampleRequest& request : plan.requests) {
      if (request.forced < 0) read.insert(request.row);
    }
    for (const LogprobRequest& request : plan.logprobs) read.insert(request.row);
    for (const int32_t row : written) EXPECT_EQ(read.count(row), 1U);
    for (const AdjustRequest& request : plan.adjusts) {
      // Nor does one copy what another changes.
      EXPECT_TRUE(request.to == request.from || written.count(request.from) == 0);
    }
  }
}

TEST(CudaSamplePlan, ResultsHavePlacesOfTheirOwn) {
  std::mt19937 random(6);
  SamplePlanner planner;
  for (int trial = 0; trial < 100; ++trial) {
    const Rows made = random_rows(random);
    const SamplePlan& plan = planner.plan(kLogitsRows, kVocabulary, made.rows, false);
    ASSERT_EQ(plan.drawn + plan.forced, std::ssize(plan.requests));
    ASSERT_EQ(plan.requests.size(), made.rows.size());
    std::set<int32_t> places;
    bool is_greedy = true;
    for (int64_t i = 0; i < std::ssize(plan.requests); ++i) {
      const SampleRequest& request = plan.requests[static_cast<size_t>(i)];
      places.insert(request.place);
      EXPECT_EQ(i >= plan.drawn, request.forced >= 0);
      is_greedy = is_greedy && (request.forced >= 0 || request.temperature == 0.0F);
    }
    EXPECT_EQ(plan.is_greedy, is_greedy);
    EXPECT_EQ(places.size(), made.rows.size());
    int32_t tops = 0;
    for (const LogprobRequest& request : plan.logprobs) {
      const SampleRow& row = made.rows[static_cast<size_t>(request.place)];
      EXPECT_EQ(request.row, row.logits_row);
      EXPECT_EQ(request.top, std::min(row.params->logprobs, kVocabulary));
      EXPECT_EQ(request.first_top, tops);
      tops += request.top;
    }
    EXPECT_EQ(plan.tops, tops);
  }
}

TEST(CudaSamplePlan, APlainRowIsReadWhereItIs) {
  Rows made;
  made.add(3, {.temperature = 0.0F});
  made.add(3, {.top_k = 2});
  SamplePlanner planner;
  const SamplePlan& plan = planner.plan(kLogitsRows, kVocabulary, made.rows, false);
  EXPECT_TRUE(plan.adjusts.empty());
  EXPECT_EQ(plan.copies, 0);
  EXPECT_EQ(plan.requests[0].row, 3);
  EXPECT_EQ(plan.requests[1].row, 3);
}

TEST(CudaSamplePlan, IsUniformWhereEachRowIsDrawnWithTheSameSteps) {
  SamplingParams plain;
  SamplingParams biased;
  biased.logit_bias = {{3, 1.0F}};
  SamplingParams seen;
  seen.logprobs = 2;
  SamplingParams seen_more;
  seen_more.logprobs = 5;
  struct Case {
    std::vector<const SamplingParams*> rows;
    int32_t first_forced;
    bool is_uniform;
  };
  for (const Case& wanted :
       {Case{{&plain, &plain}, -1, true}, Case{{&biased, &biased}, -1, true},
        Case{{&plain, &biased}, -1, false}, Case{{&seen, &seen}, -1, true},
        Case{{&seen, &plain}, -1, false}, Case{{&seen, &seen_more}, -1, false},
        Case{{&plain}, 7, true}, Case{{&plain, &plain}, 7, false}, Case{{}, -1, true}}) {
    Rows made;
    for (const SamplingParams* params : wanted.rows) {
      made.add(static_cast<int32_t>(made.rows.size()), *params);
    }
    if (!made.rows.empty()) made.rows[0].forced = wanted.first_forced;
    SamplePlanner planner;
    EXPECT_EQ(planner.plan(kLogitsRows, kVocabulary, made.rows, false).is_uniform(),
              wanted.is_uniform)
        << wanted.rows.size() << " rows";
  }
}

// A token that is not known yet leaves the counts of the others as they are, from row to row.
TEST(CudaSamplePlan, TheLastTokenMayBeUnknown) {
  Rows made;
  for (int32_t i = 0; i < 2; ++i) {
    SampleRow& row = made.add(i, {.frequency_penalty = 1.0F});
    row.tokens = made.keep({7, 9, 8, 9, ~(4 + i)});
    row.prompt_length = 1;
  }
  SamplePlanner planner;
  const SamplePlan& plan = planner.plan(kLogitsRows, kVocabulary, made.rows, false);
  ASSERT_EQ(plan.adjusts.size(), 2U);
  for (int32_t i = 0; i < 2; ++i) {
    const AdjustRequest& request = plan.adjusts[static_cast<size_t>(i)];
    EXPECT_EQ(request.pending, 4 + i);
    ASSERT_EQ(request.seen, 2);  // the prompt's do not count
    const SampleEdit* edits = plan.edits.data() + request.first_edit;
    EXPECT_EQ(edits[0].token, 9);
    EXPECT_EQ(edits[0].value, 2.0F);
    EXPECT_EQ(edits[1].token, 8);
    EXPECT_EQ(edits[1].value, 1.0F);
  }
}

}  // namespace
}  // namespace octavo::cuda
