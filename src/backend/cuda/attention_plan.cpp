#include "backend/cuda/attention_plan.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "backend/backend.h"
#include "base/check.h"

namespace octavo::cuda {
namespace {

static_assert(kSegmentKeys == kAttentionSegment);
static_assert(sizeof(AttentionItem) == 48 && sizeof(AttentionPlanHeader) == 16);

// Thread blocks that keep a large device busy: two for each multiprocessor of an H100.
constexpr int64_t kBusyBlocks = 264;
// What the records of tiles may take, in floats. Those of strips need no limit: they are a small
// part of the keys that the strips read.
constexpr int64_t kTileRecordFloats = int64_t{32} << 20;

int64_t round_up_to_power_of_two(int64_t count) {
  int64_t power = count > 0 ? 1 : 0;
  while (power < count) power *= 2;
  return power;
}

class Planner {
 public:
  Planner(const Batch& batch, const AttentionShape& shape) : batch_(batch), shape_(shape) {}

  AttentionPlan plan();

 private:
  void cut_sequence(int32_t sequence);
  AttentionItem piece(int32_t sequence, int32_t first_pair, int32_t pairs) const;
  int64_t records_of(const AttentionItem& piece) const {
    return int64_t{piece.pairs} * piece.segments;
  }
  // Cuts the piece into items of `most` segments, with a merge after them.
  void split(AttentionItem piece, int32_t most, std::vector<AttentionItem>& items);
  void add_tiles();
  void append(AttentionPlan& plan, const std::vector<AttentionItem>& items) const;

  const Batch& batch_;
  const AttentionShape& shape_;
  std::vector<AttentionItem> tile_pieces_;
  std::vector<AttentionItem> tiles_;
  std::vector<AttentionItem> strips_;
  std::vector<AttentionItem> merges_;
  int64_t records_ = 0;
  bool merges_all_ = true;
};

AttentionItem Planner::piece(int32_t sequence, int32_t first_pair, int32_t pairs) const {
  const int32_t heads = shape_.heads_per_kv_head;
  const auto index = static_cast<size_t>(sequence);
  AttentionItem item = {};
  item.sequence = sequence;
  item.first_pair = first_pair;
  item.pairs = pairs;
  item.record = -1;
  item.first_row = batch_.q_starts[index];
  item.first_block = batch_.groups[static_cast<size_t>(shape_.group)].table_starts[index];
  const int32_t first_row = item.first_row + first_pair / heads;
  const int32_t last_row = item.first_row + (first_pair + pairs - 1) / heads;
  item.first_key =
      shape_.window > 0
          ? std::max(0, batch_.positions[static_cast<size_t>(first_row)] - shape_.window + 1)
          : 0;
  item.last_key = batch_.positions[static_cast<size_t>(last_row)] + 1;
  item.first_segment = item.first_key / kSegmentKeys;
  item.segments = (item.last_key - 1) / kSegmentKeys + 1 - item.first_segment;
  return item;
}

void Planner::split(AttentionItem piece, int32_t most, std::vector<AttentionItem>& items) {
  if (piece.segments <= most) {
    items.push_back(piece);
    merges_all_ = false;
    return;
  }
  OCTAVO_CHECK(records_ + records_of(piece) <= std::numeric_limits<int32_t>::max(),
               "too many keys in a step: {} records of segments", records_ + records_of(piece));
  piece.record = static_cast<int32_t>(records_);
  records_ += records_of(piece);
  merges_.push_back(piece);
  for (int32_t first = 0; first < piece.segments; first += most) {
    AttentionItem item = piece;
    item.first_segment += first;
    item.segments = std::min(most, piece.segments - first);
    item.record += first * piece.pairs;
    items.push_back(item);
  }
}

void Planner::cut_sequence(int32_t sequence) {
  const auto index = static_cast<size_t>(sequence);
  const int32_t pairs =
      (batch_.q_starts[index + 1] - batch_.q_starts[index]) * shape_.heads_per_kv_head;
  for (int32_t first = 0; first < pairs; first += kTilePairs) {
    const int32_t count = std::min(kTilePairs, pairs - first);
    if (count > kStripPairs) {
      tile_pieces_.push_back(piece(sequence, first, count));
    } else {
      split(piece(sequence, first, count), 1, strips_);
    }
  }
}

// A tile is split when it is so long that it would keep the device waiting, and its records fit.
void Planner::add_tiles() {
  int64_t segments = 0;
  for (const AttentionItem& piece : tile_pieces_) segments += piece.segments;
  const int64_t share = std::max<int64_t>(1, segments * shape_.kv_heads / kBusyBlocks);
  int64_t room = kTileRecordFloats / (record_floats(shape_.head_dim) * shape_.kv_heads);
  for (const AttentionItem& piece : tile_pieces_) {
    const bool is_split = piece.segments > 2 * share && records_of(piece) <= room;
    if (is_split) room -= records_of(piece);
    split(piece, is_split ? static_cast<int32_t>(share) : piece.segments, tiles_);
  }
  // The longest first: what starts last is short, and no thread block ends long after the others.
  std::stable_sort(
      tiles_.begin(), tiles_.end(),
      [](const AttentionItem& a, const AttentionItem& b) { return a.segments > b.segments; });
}

void Planner::append(AttentionPlan& plan, const std::vector<AttentionItem>& items) const {
  if (items.empty()) return;
  const size_t first = plan.words.size();
  plan.words.resize(first + items.size() * sizeof(AttentionItem) / sizeof(int32_t));
  std::memcpy(plan.words.data() + first, items.data(), items.size() * sizeof(AttentionItem));
}

AttentionPlan Planner::plan() {
  for (int32_t sequence = 0; sequence < batch_.sequence_count(); ++sequence) cut_sequence(sequence);
  add_tiles();
  const auto tiles = static_cast<int32_t>(tiles_.size());
  const auto strips = static_cast<int32_t>(strips_.size());
  const auto merges = static_cast<int32_t>(merges_.size());
  AttentionPlan plan;
  plan.words = {tiles, strips, merges, 0};
  append(plan, tiles_);
  append(plan, strips_);
  append(plan, merges_);
  plan.block_capacity = static_cast<int32_t>(round_up_to_power_of_two(tiles + strips));
  plan.has_tiles = tiles > 0;
  plan.merges_all = merges > 0 && merges_all_;
  plan.merge_capacity = static_cast<int32_t>(round_up_to_power_of_two(merges));
  plan.partial_floats =
      round_up_to_power_of_two(records_ * shape_.kv_heads) * record_floats(shape_.head_dim);
  // Every thread block reads an item before it knows whether there is one for it.
  constexpr size_t kItemWords = sizeof(AttentionItem) / sizeof(int32_t);
  const size_t least = plan.words.size() + static_cast<size_t>(plan.block_capacity) * kItemWords;
  plan.words.resize(least - static_cast<size_t>(tiles + strips) * kItemWords);
  return plan;
}

}  // namespace

AttentionPlan plan_attention(const Batch& batch, const AttentionShape& shape) {
  return Planner(batch, shape).plan();
}

}  // namespace octavo::cuda
