// The plan of a device's attention: every key that a pair sees is folded exactly once, in order,
// and work is spread evenly. The plan is made by the host, so this needs no device.
#include "backend/cuda/attention_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "backend/batch.h"

namespace octavo::cuda {
namespace {

struct Rows {
  int32_t first_position = 0;
  int32_t count = 1;
};

// A step of sequences with these rows; owns what the batch's spans show.
struct Step {
  explicit Step(const std::vector<Rows>& sequences) {
    for (const Rows& rows : sequences) {
      for (int32_t i = 0; i < rows.count; ++i) positions.push_back(rows.first_position + i);
      starts.push_back(static_cast<int32_t>(positions.size()));
      lengths.push_back(rows.first_position + rows.count);
      table_starts.push_back(table_starts.back() + lengths.back());
    }
    batch.tokens = positions;
    batch.positions = positions;
    batch.q_starts = starts;
    batch.kv_lengths = lengths;
    batch.groups = {{.table_starts = table_starts}};
  }
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;

  std::vector<int32_t> positions;
  std::vector<int32_t> starts = {0};
  std::vector<int32_t> lengths;
  std::vector<int32_t> table_starts = {0};
  Batch batch;
};

// The plan's words, as a kernel reads them.
struct ReadPlan {
  explicit ReadPlan(const AttentionPlan& plan) {
    AttentionPlanHeader header;
    std::memcpy(&header, plan.words.data(), sizeof(header));
    const auto* words = plan.words.data() + sizeof(header) / sizeof(int32_t);
    const auto take = [&](int32_t count, std::vector<AttentionItem>& items) {
      items.resize(static_cast<size_t>(count));
      if (count > 0) std::memcpy(items.data(), words, items.size() * sizeof(AttentionItem));
      words += items.size() * sizeof(AttentionItem) / sizeof(int32_t);
    };
    take(header.tiles, tiles);
    take(header.strips, strips);
    take(header.merges, merges);
    const auto room = static_cast<size_t>(plan.block_capacity) - tiles.size() - strips.size();
    words += room * sizeof(AttentionItem) / sizeof(int32_t);
    EXPECT_EQ(words, plan.words.data() + plan.words.size());
  }

  std::vector<AttentionItem> tiles;
  std::vector<AttentionItem> strips;
  std::vector<AttentionItem> merges;
};

using Pair = std::pair<int32_t, int32_t>;  // sequence, pair within it

// What became of the step's pairs when the plan was followed.
class Follower {
 public:
  Follower(const Step& step, const AttentionShape& shape, const AttentionPlan& plan)
      : step_(step), shape_(shape), plan_(plan), read_(plan) {}

  void follow() {
    for (const AttentionItem& item : read_.tiles) fold(item, kTilePairs);
    for (const AttentionItem& item : read_.strips) {
      EXPECT_EQ(item.segments, 1);
      fold(item, kStripPairs);
    }
    for (const AttentionItem& item : read_.merges) merge(item);
    EXPECT_TRUE(records_.empty()) << records_.size() << " records that nobody merges";
    const auto sequences = static_cast<int32_t>(step_.lengths.size());
    for (int32_t sequence = 0; sequence < sequences; ++sequence) check_sequence(sequence);
    check_capacities();
  }

 private:
  void fold(const AttentionItem& item, int32_t most_pairs) {
    ASSERT_GE(item.pairs, 1);
    ASSERT_LE(item.pairs, most_pairs);
    const auto sequence = static_cast<size_t>(item.sequence);
    EXPECT_EQ(item.first_row, step_.starts[sequence]);
    EXPECT_EQ(item.first_block, step_.table_starts[sequence]);
    for (int32_t pair = 0; pair < item.pairs; ++pair) {
      const Pair owner = {item.sequence, item.first_pair + pair};
      for (int32_t segment = 0; segment < item.segments; ++segment) {
        const int32_t absolute = item.first_segment + segment;
        if (item.record < 0) {
          folded_[owner].push_back(absolute);
          continue;
        }
        const int32_t record = item.record + segment * item.pairs + pair;
        const bool is_new = records_.emplace(record, std::make_pair(owner, absolute)).second;
        ASSERT_TRUE(is_new) << "record " << record << " is written twice";
        most_records_ = std::max(most_records_, record + 1);
      }
    }
  }

  void merge(const AttentionItem& item) {
    for (int32_t pair = 0; pair < item.pairs; ++pair) {
      const Pair owner = {item.sequence, item.first_pair + pair};
      for (int32_t segment = 0; segment < item.segments; ++segment) {
        const int32_t absolute = item.first_segment + segment;
        const auto record = records_.find(item.record + segment * item.pairs + pair);
        ASSERT_NE(record, records_.end());
        ASSERT_EQ(record->second, std::make_pair(owner, absolute));
        records_.erase(record);
        folded_[owner].push_back(absolute);
      }
    }
  }

  // Segments ascend without a gap and cover what the row sees. They are cut at multiples of
  // kSegmentKeys because that is what a segment's number means.
  void check_sequence(int32_t sequence) {
    const auto index = static_cast<size_t>(sequence);
    const int32_t rows = step_.starts[index + 1] - step_.starts[index];
    for (int32_t pair = 0; pair < rows * shape_.heads_per_kv_head; ++pair) {
      const int32_t row = step_.starts[index] + pair / shape_.heads_per_kv_head;
      const int32_t last = step_.positions[static_cast<size_t>(row)];
      const int32_t first = shape_.window > 0 ? std::max(0, last - shape_.window + 1) : 0;
      const std::vector<int32_t>& segments = folded_[{sequence, pair}];
      ASSERT_FALSE(segments.empty()) << "sequence " << sequence << ", pair " << pair;
      for (size_t i = 1; i < segments.size(); ++i) ASSERT_EQ(segments[i], segments[i - 1] + 1);
      EXPECT_LE(segments.front() * kSegmentKeys, first);
      EXPECT_GE((segments.back() + 1) * kSegmentKeys, last + 1);
      folded_.erase({sequence, pair});
    }
  }

  void check_capacities() {
    EXPECT_TRUE(folded_.empty()) << folded_.size() << " pairs that the step does not have";
    EXPECT_GE(static_cast<size_t>(plan_.block_capacity), read_.tiles.size() + read_.strips.size());
    EXPECT_GE(static_cast<size_t>(plan_.merge_capacity), read_.merges.size());
    EXPECT_EQ(plan_.merge_capacity == 0, read_.merges.empty());
    EXPECT_GE(plan_.partial_floats,
              int64_t{most_records_} * shape_.kv_heads * record_floats(shape_.head_dim));
  }

  const Step& step_;
  const AttentionShape& shape_;
  const AttentionPlan& plan_;
  ReadPlan read_;
  std::map<int32_t, std::pair<Pair, int32_t>> records_;  // who wrote it, and of which segment
  std::map<Pair, std::vector<int32_t>> folded_;          // segments in the order of folding
  int32_t most_records_ = 0;
};

void check(const std::vector<Rows>& sequences, const AttentionShape& shape) {
  const Step step(sequences);
  const AttentionPlan plan = plan_attention(step.batch, shape);
  Follower(step, shape, plan).follow();
}

TEST(CudaAttentionPlan, FoldsEveryKeyOnceAndInOrder) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto draw = [&](int32_t low, int32_t high) {
    return std::uniform_int_distribution<int32_t>(low, high)(random);
  };
  for (int round = 0; round < 40; ++round) {
    AttentionShape shape;
    shape.kv_heads = draw(1, 8);
    shape.heads_per_kv_head = draw(1, 20);
    shape.head_dim = draw(1, 128);
    shape.window = draw(0, 1) == 0 ? 0 : draw(1, 900);
    std::vector<Rows> sequences;
    for (int32_t i = draw(1, 12); i > 0; --i) {
      sequences.push_back({draw(0, 3000), draw(0, 3) == 0 ? draw(1, 200) : 1});
    }
    check(sequences, shape);
    if (testing::Test::HasFailure()) return;
  }
}

TEST(CudaAttentionPlan, CutsAtMultiplesOfTheSegment) {
  for (const int32_t position : {0, 254, 255, 256, 257, 511, 512}) {
    check({{position, 1}}, {2, 4, 128, 0});
    check({{position, 1}}, {2, 4, 128, 256});
    check({{position, 40}}, {2, 4, 128, 1});
  }
}

TEST(CudaAttentionPlan, NeedsNoMergeForOneSegment) {
  const Step step({{0, 200}, {100, 1}, {255, 1}});
  const AttentionPlan plan = plan_attention(step.batch, {8, 4, 128, 0});
  EXPECT_EQ(plan.merge_capacity, 0);
  EXPECT_EQ(plan.partial_floats, 0);
}

TEST(CudaAttentionPlan, SaysWhetherMergesWriteEveryRow) {
  const auto merges_all = [](const std::vector<Rows>& sequences) {
    const Step step(sequences);
    return plan_attention(step.batch, {8, 4, 128, 0}).merges_all;
  };
  EXPECT_TRUE(merges_all({{256, 1}}));
  EXPECT_TRUE(merges_all({{300, 1}, {2000, 3}}));
  EXPECT_FALSE(merges_all({{255, 1}}));
  EXPECT_FALSE(merges_all({{300, 1}, {255, 1}}));
  EXPECT_FALSE(merges_all({{300, 1}, {0, 200}})) << "tiles that fold all of their segments";
  EXPECT_FALSE(merges_all({}));
}

TEST(CudaAttentionPlan, SpreadsADecodingSequenceOverItsSegments) {
  const Step step({{4095, 1}});
  const ReadPlan plan(plan_attention(step.batch, {8, 4, 128, 0}));
  EXPECT_EQ(plan.strips.size(), 16U);
  EXPECT_EQ(plan.merges.size(), 1U);
}

TEST(CudaAttentionPlan, SplitsTilesOnlyWhereTheyAreFew) {
  // 64 rows far behind a long text are few tiles with many segments each.
  const Step chunk({{16384, 64}});
  const ReadPlan split(plan_attention(chunk.batch, {8, 4, 128, 0}));
  int32_t longest = 0;
  int32_t total = 0;
  for (const AttentionItem& item : split.tiles) {
    longest = std::max(longest, item.segments);
    total += item.segments;
  }
  EXPECT_EQ(split.merges.size(), 4U);
  EXPECT_LE(longest * 32, total) << "one thread block has more than its share";

  // A long prompt has enough tiles, of which the longest begin first.
  const Step prompt({{0, 8192}});
  const ReadPlan whole(plan_attention(prompt.batch, {8, 4, 128, 0}));
  EXPECT_TRUE(whole.merges.empty());
  EXPECT_EQ(whole.tiles.size(), 512U);
  EXPECT_TRUE(std::is_sorted(
      whole.tiles.begin(), whole.tiles.end(),
      [](const AttentionItem& a, const AttentionItem& b) { return a.segments > b.segments; }));
}

TEST(CudaAttentionPlan, KeepsCapacitiesWhileASequenceGrows) {
  // So that a launch can be replayed: between 1,025 and 2,048 keys nothing changes but the words.
  std::set<int64_t> blocks;
  std::set<int64_t> floats;
  for (int32_t position = 1024; position < 2048; position += 64) {
    const Step step({{position, 1}});
    const AttentionPlan plan = plan_attention(step.batch, {8, 4, 128, 0});
    blocks.insert(plan.block_capacity);
    floats.insert(plan.partial_floats);
  }
  EXPECT_EQ(blocks.size(), 1U);
  EXPECT_EQ(floats.size(), 1U);
}

}  // namespace
}  // namespace octavo::cuda
