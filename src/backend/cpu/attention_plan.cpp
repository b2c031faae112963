#include "backend/cpu/attention_plan.h"

#include <algorithm>
#include <array>
#include <limits>
#include <span>

#include "backend/backend.h"
#include "base/check.h"

namespace octavo::cpu {
namespace {

static_assert(kSegmentKeys == kAttentionSegment);
static_assert(kSegmentTiles * kKeyTile == kSegmentKeys);

// Pairs of one sequence that stay together: pair = row within the sequence * heads + head.
struct Piece {
  int32_t sequence = 0;
  int32_t first_pair = 0;
  int32_t pairs = 0;
};

class Planner {
 public:
  Planner(const Batch& batch, const CpuKvStore& store, int32_t group, int32_t heads_per_kv_head)
      : batch_(batch),
        store_(store),
        tables_(batch.groups[static_cast<size_t>(group)]),
        block_size_(store.shape().block_size),
        window_(store.shape().groups[static_cast<size_t>(group)].window),
        heads_(heads_per_kv_head) {}

  AttentionPlan plan();

 private:
  // What one pair of the task at hand reads.
  struct Reader {
    std::span<const BlockId> table;
    int32_t sequence;
    int32_t first_key;
    int32_t last_key;  // one past
  };
  // Pairs that read the same memory in one tile.
  struct SharedTile {
    int32_t first_pair;
    int32_t pairs;
    int64_t offset;
    bool same_pairs(const SharedTile& other) const {
      return first_pair == other.first_pair && pairs == other.pairs;
    }
  };
  // Who reads what in one tile; [count] are set.
  struct TileReads {
    size_t count = 0;
    std::array<SharedTile, kAttentionPairs> shared;
    bool same_pairs(const TileReads& other) const {
      return std::equal(shared.begin(), shared.begin() + count, other.shared.begin(),
                        other.shared.begin() + other.count,
                        [](const auto& a, const auto& b) { return a.same_pairs(b); });
    }
  };
  // Consecutive tiles of a segment that part the task's pairs in the same way; [count] are set.
  struct Band {
    int32_t first_tile = 0;
    size_t count = 0;
    std::array<TileReads, kSegmentTiles> tiles;
  };

  std::span<const BlockId> table(int32_t sequence) const {
    const auto index = static_cast<size_t>(sequence);
    const auto first = static_cast<size_t>(tables_.table_starts[index]);
    const auto last = static_cast<size_t>(tables_.table_starts[index + 1]);
    return tables_.blocks.subspan(first, last - first);
  }
  // The first position that a row at `position` sees.
  int32_t first_seen(int32_t position) const {
    return window_ > 0 ? std::max(0, position - window_ + 1) : 0;
  }
  int32_t first_position(const Piece& piece) const {
    const int32_t first_row = batch_.q_starts[static_cast<size_t>(piece.sequence)];
    const int32_t row = first_row + piece.first_pair / heads_;
    return batch_.positions[static_cast<size_t>(row)];
  }

  void cut_sequences();
  size_t shared_blocks(const Piece& a, const Piece& b) const;
  void add_small_tasks();
  void add_task(std::span<const Piece> pieces);
  void add_segments(AttentionPlan::Task& task);
  int64_t add_segment(int32_t index);
  void read_tile(int32_t position, TileReads& reads) const;
  int64_t add_band(const Band& band);

  const Batch& batch_;
  const CpuKvStore& store_;
  const GroupTables& tables_;
  int32_t block_size_;
  int32_t window_;
  int32_t heads_;
  std::vector<Piece> small_;     // less than a task each
  std::vector<Reader> readers_;  // [pairs] of the task at hand
  AttentionPlan plan_;
};

AttentionPlan Planner::plan() {
  cut_sequences();
  add_small_tasks();
  return std::move(plan_);
}

// A sequence with many rows shares with itself: it fills tasks of its own, all but the rest.
void Planner::cut_sequences() {
  for (int32_t sequence = 0; sequence < batch_.sequence_count(); ++sequence) {
    const auto index = static_cast<size_t>(sequence);
    const int32_t pairs = (batch_.q_starts[index + 1] - batch_.q_starts[index]) * heads_;
    for (int32_t first = 0; first < pairs; first += kAttentionPairs) {
      const Piece piece = {sequence, first, std::min(kAttentionPairs, pairs - first)};
      if (piece.pairs == kAttentionPairs) {
        add_task({&piece, 1});
      } else {
        small_.push_back(piece);
      }
    }
  }
}

// The blocks that both read; they are one stretch of both tables, since sequences that part do not
// meet again.
size_t Planner::shared_blocks(const Piece& a, const Piece& b) const {
  const int32_t first_key = std::max(first_seen(first_position(a)), first_seen(first_position(b)));
  const auto first = static_cast<size_t>(first_key / block_size_);
  const std::span<const BlockId> left = table(a.sequence);
  const std::span<const BlockId> right = table(b.sequence);
  const size_t last = std::min(left.size(), right.size());
  size_t at = first;
  while (at < last && left[at] == right[at] && left[at] != kNoBlock) ++at;
  return at - first;
}

// Joins small pieces to tasks such that all together read the fewest tiles: of neighbours in the
// order of the tables, those are cut apart that share least. most_shared[i] is the most that the
// first i pieces can share.
void Planner::add_small_tasks() {
  std::sort(small_.begin(), small_.end(), [this](const Piece& a, const Piece& b) {
    const auto left = table(a.sequence);
    const auto right = table(b.sequence);
    const bool before =
        std::lexicographical_compare(left.begin(), left.end(), right.begin(), right.end());
    const bool after =
        std::lexicographical_compare(right.begin(), right.end(), left.begin(), left.end());
    return before || (!after && a.sequence < b.sequence);
  });
  std::vector<size_t> most_shared(small_.size() + 1, 0);
  std::vector<size_t> task_begin(small_.size() + 1, 0);
  std::vector<size_t> shared_with_next(small_.size(), 0);
  for (size_t end = 1; end <= small_.size(); ++end) {
    if (end < small_.size()) {
      shared_with_next[end - 1] = shared_blocks(small_[end - 1], small_[end]);
    }
    most_shared[end] = most_shared[end - 1];
    task_begin[end] = end - 1;
    int32_t pairs = small_[end - 1].pairs;
    size_t shared = 0;
    for (size_t begin = end - 1; begin > 0; --begin) {
      pairs += small_[begin - 1].pairs;
      shared += shared_with_next[begin - 1];
      if (pairs > kAttentionPairs) break;
      if (most_shared[begin - 1] + shared <= most_shared[end]) continue;
      most_shared[end] = most_shared[begin - 1] + shared;
      task_begin[end] = begin - 1;
    }
  }
  for (size_t end = small_.size(); end > 0; end = task_begin[end]) {
    add_task(std::span(small_).subspan(task_begin[end], end - task_begin[end]));
  }
}

void Planner::add_task(std::span<const Piece> pieces) {
  AttentionPlan::Task task;
  task.first_pair = plan_.pairs.size();
  readers_.clear();
  for (const Piece& piece : pieces) {
    const int32_t first_row = batch_.q_starts[static_cast<size_t>(piece.sequence)];
    for (int32_t pair = piece.first_pair; pair < piece.first_pair + piece.pairs; ++pair) {
      const int32_t row = first_row + pair / heads_;
      const int32_t position = batch_.positions[static_cast<size_t>(row)];
      plan_.pairs.push_back({row, pair % heads_});
      readers_.push_back(
          {table(piece.sequence), piece.sequence, first_seen(position), position + 1});
    }
  }
  task.pair_count = static_cast<int32_t>(readers_.size());
  add_segments(task);
  plan_.tasks.push_back(task);
}

void Planner::add_segments(AttentionPlan::Task& task) {
  int32_t first_key = std::numeric_limits<int32_t>::max();
  int32_t last_key = 0;
  for (const Reader& reader : readers_) {
    first_key = std::min(first_key, reader.first_key);
    last_key = std::max(last_key, reader.last_key);
  }
  task.first_segment = plan_.segments.size();
  for (int32_t index = first_key / kSegmentKeys; index * kSegmentKeys < last_key; ++index) {
    task.cost += add_segment(index);
  }
  task.last_segment = plan_.segments.size();
}

// Gives the segment's cost. One that nobody sees (windows of distant positions) is left out.
int64_t Planner::add_segment(int32_t index) {
  AttentionPlan::Segment segment;
  segment.index = index;
  segment.first_run = plan_.runs.size();
  segment.first_tile = plan_.tile_offsets.size();
  int64_t cost = 0;
  Band band;
  for (int32_t tile = 0; tile < kSegmentTiles; ++tile) {
    TileReads& reads = band.tiles[band.count];
    read_tile(index * kSegmentKeys + tile * kKeyTile, reads);
    if (band.count > 0 && !reads.same_pairs(band.tiles[0])) {
      const TileReads first = reads;
      cost += add_band(band);
      band.first_tile = tile;
      band.tiles[0] = first;
      band.count = 0;
    }
    ++band.count;
  }
  cost += add_band(band);
  segment.last_run = plan_.runs.size();
  segment.last_tile = plan_.tile_offsets.size();
  if (segment.first_run != segment.last_run) plan_.segments.push_back(segment);
  return cost;
}

// Who reads what in the tile that begins at a position.
void Planner::read_tile(int32_t position, TileReads& reads) const {
  const auto entry = static_cast<size_t>(position / block_size_);
  const int64_t in_block = position % block_size_ / kKeyTile * store_.tile_bytes();
  reads.count = 0;
  for (size_t pair = 0; pair < readers_.size(); ++pair) {
    const Reader& reader = readers_[pair];
    if (reader.first_key >= position + kKeyTile || reader.last_key <= position) continue;
    OCTAVO_CHECK(entry < reader.table.size(), "sequence {} has {} blocks and needs position {}",
                 reader.sequence, reader.table.size(), position);
    const BlockId block = reader.table[entry];
    OCTAVO_CHECK(block >= 0 && block < store_.block_count(), "sequence {} has block {} of {}",
                 reader.sequence, block, store_.block_count());
    const int64_t offset = block * store_.block_bytes() + in_block;
    const auto index = static_cast<int32_t>(pair);
    SharedTile* last = reads.count > 0 ? &reads.shared[reads.count - 1] : nullptr;
    if (last != nullptr && last->offset == offset && last->first_pair + last->pairs == index) {
      ++last->pairs;
    } else {
      reads.shared[reads.count++] = {index, 1, offset};
    }
  }
}

// One run after the other, so that the tiles of a run follow one another.
int64_t Planner::add_band(const Band& band) {
  int64_t cost = 0;
  for (size_t run = 0; run < band.tiles[0].count; ++run) {
    const SharedTile& pairs = band.tiles[0].shared[run];
    const auto tiles = static_cast<int32_t>(band.count);
    plan_.runs.push_back({pairs.first_pair, pairs.pairs, band.first_tile, tiles});
    for (size_t tile = 0; tile < band.count; ++tile) {
      plan_.tile_offsets.push_back(band.tiles[tile].shared[run].offset);
    }
    cost += int64_t{pairs.pairs} * tiles;
  }
  return cost;
}

}  // namespace

AttentionPlan plan_attention(const Batch& batch, const CpuKvStore& store, int32_t group,
                             int32_t heads_per_kv_head) {
  return Planner(batch, store, group, heads_per_kv_head).plan();
}

const AttentionPlan& AttentionPlans::plan(const Batch& batch, const CpuKvStore& store,
                                          int32_t group, int32_t heads_per_kv_head) {
  for (const Entry& entry : entries_) {
    if (entry.store == &store && entry.group == group &&
        entry.heads_per_kv_head == heads_per_kv_head) {
      return entry.plan;
    }
  }
  entries_.push_back(
      {&store, group, heads_per_kv_head, plan_attention(batch, store, group, heads_per_kv_head)});
  return entries_.back().plan;
}

}  // namespace octavo::cpu
