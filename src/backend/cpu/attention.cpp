#include "backend/cpu/attention.h"

#include <algorithm>
#include <vector>

#include "base/check.h"

namespace octavo::cpu {
namespace {

static_assert(kSegmentKeys == kAttentionSegment);
static_assert(kSegmentTiles * kKeyTile == kSegmentKeys);

// Tasks per thread below which the longest tasks are cut by segments.
constexpr int64_t kTasksPerThread = 4;

struct Task {
  int32_t sequence = 0;
  int32_t kv_head = 0;
  int32_t first_pair = 0;  // pair = row within the sequence * heads per kv head + head
  int32_t pairs = 0;
  int32_t first_segment = 0;
  int32_t last_segment = 0;  // one past
  int32_t segments() const { return last_segment - first_segment; }
  int64_t cost() const { return static_cast<int64_t>(segments()) * pairs; }
};

// A segment of a task that is computed apart, and where its state goes.
struct SplitSegment {
  const Task* task = nullptr;
  int32_t segment = 0;
  AttentionState state;
};

class Attention {
 public:
  Attention(const AttentionCall& call, const Kernels& kernels)
      : call_(call),
        kernels_(kernels),
        shape_(call.store.shape()),
        place_(call.store.place(call.layer)),
        tables_(call.batch.groups[static_cast<size_t>(place_.group)]),
        window_(shape_.groups[static_cast<size_t>(place_.group)].window),
        heads_per_kv_head_(
            static_cast<int32_t>(call.q.columns / (int64_t{shape_.head_dim} * shape_.kv_heads))),
        stride_((shape_.head_dim + 15) / 16 * 16) {
    OCTAVO_CHECK(call.q.columns ==
                     int64_t{heads_per_kv_head_} * shape_.head_dim * shape_.kv_heads &&
                 heads_per_kv_head_ > 0);
  }

  std::vector<Task> tasks() const;
  // The whole task, from its segments to its rows of the output.
  void run(const Task& task) const;
  void run_segment(const Task& task, int32_t segment, const AttentionState& state) const;
  void merge_and_finish(const Task& task, const SplitSegment* segments) const;
  // A state in scratch memory for `pairs` pairs.
  AttentionState allocate_state(ScratchArena& scratch, int32_t pairs) const;

 private:
  int32_t row_of(const Task& task, int32_t pair) const {
    return call_.batch.q_starts[static_cast<size_t>(task.sequence)] +
           (task.first_pair + pair) / heads_per_kv_head_;
  }
  int64_t column_of(const Task& task, int32_t pair) const {
    const int32_t head =
        task.kv_head * heads_per_kv_head_ + (task.first_pair + pair) % heads_per_kv_head_;
    return int64_t{head} * shape_.head_dim;
  }
  int32_t position_of(int32_t row) const { return call_.batch.positions[static_cast<size_t>(row)]; }
  // The first position that a row at `position` sees.
  int32_t first_seen(int32_t position) const {
    return window_ > 0 ? std::max(0, position - window_ + 1) : 0;
  }
  void set_tiles(const Task& task, int32_t first_key, int32_t last_key, int32_t base,
                 AttentionSegment& segment) const;
  void finish(const Task& task, const AttentionState& state) const;

  const AttentionCall& call_;
  const Kernels& kernels_;
  const KvShape& shape_;
  CpuKvStore::LayerPlace place_;
  const GroupTables& tables_;
  int32_t window_;
  int32_t heads_per_kv_head_;
  int64_t stride_;
};

std::vector<Task> Attention::tasks() const {
  const Batch& batch = call_.batch;
  std::vector<Task> tasks;
  for (int32_t sequence = 0; sequence < batch.sequence_count(); ++sequence) {
    const auto index = static_cast<size_t>(sequence);
    const int32_t rows = batch.q_starts[index + 1] - batch.q_starts[index];
    const int32_t pairs = rows * heads_per_kv_head_;
    for (int32_t kv_head = 0; kv_head < shape_.kv_heads; ++kv_head) {
      for (int32_t first = 0; first < pairs; first += kAttentionPairs) {
        Task task{sequence, kv_head, first, std::min(kAttentionPairs, pairs - first), 0, 0};
        const int32_t first_position = position_of(row_of(task, 0));
        const int32_t last_position = position_of(row_of(task, task.pairs - 1));
        task.first_segment = first_seen(first_position) / kSegmentKeys;
        task.last_segment = last_position / kSegmentKeys + 1;
        tasks.push_back(task);
      }
    }
  }
  return tasks;
}

void Attention::run(const Task& task) const {
  alignas(64) float values[2][kAttentionPairs * kMaxHeadDim];
  float max[2][kAttentionPairs];
  float sum[2][kAttentionPairs];
  const AttentionState state = {max[0], sum[0], values[0], stride_};
  const AttentionState next = {max[1], sum[1], values[1], stride_};
  run_segment(task, task.first_segment, state);
  for (int32_t segment = task.first_segment + 1; segment < task.last_segment; ++segment) {
    run_segment(task, segment, next);
    kernels_.merge_attention(state, next, task.pairs);
  }
  finish(task, state);
}

void Attention::run_segment(const Task& task, int32_t index, const AttentionState& state) const {
  AttentionSegment segment;
  segment.pairs = task.pairs;
  segment.head_dim = shape_.head_dim;
  segment.scale = call_.params.scale;
  segment.soft_cap = call_.params.soft_cap;
  segment.half = shape_.type == DType::f16;
  const int32_t base = index * kSegmentKeys;
  int32_t first_key = kSegmentKeys;
  int32_t last_key = 0;
  for (int32_t pair = 0; pair < task.pairs; ++pair) {
    const int32_t row = row_of(task, pair);
    const int32_t position = position_of(row);
    segment.queries[pair] = call_.q.row(row) + column_of(task, pair);
    segment.first[pair] = std::clamp(first_seen(position) - base, 0, kSegmentKeys);
    segment.last[pair] = std::clamp(position + 1 - base, 0, kSegmentKeys);
    if (segment.first[pair] >= segment.last[pair]) continue;
    first_key = std::min(first_key, segment.first[pair]);
    last_key = std::max(last_key, segment.last[pair]);
  }
  set_tiles(task, first_key, last_key, base, segment);
  kernels_.attend_segment(segment, state);
}

void Attention::set_tiles(const Task& task, int32_t first_key, int32_t last_key, int32_t base,
                          AttentionSegment& segment) const {
  const auto sequence = static_cast<size_t>(task.sequence);
  const auto table_start = static_cast<size_t>(tables_.table_starts[sequence]);
  const auto table_end = static_cast<size_t>(tables_.table_starts[sequence + 1]);
  const auto table = tables_.blocks.subspan(table_start, table_end - table_start);
  const int64_t tile_bytes = int64_t{kKeyTile} * shape_.head_dim * call_.store.element_bytes();
  for (int32_t tile = first_key / kKeyTile; tile * kKeyTile < last_key; ++tile) {
    const int32_t position = base + tile * kKeyTile;
    const auto entry = static_cast<size_t>(position / shape_.block_size);
    OCTAVO_CHECK(entry < table.size(), "sequence {} has {} blocks and needs position {}",
                 task.sequence, table.size(), position);
    const std::byte* head = call_.store.head(table[entry], place_.index, task.kv_head);
    // K and V tiles of a block have the same bytes.
    const int64_t offset = position % shape_.block_size / kKeyTile * tile_bytes;
    segment.keys[tile] = head + offset;
    segment.values[tile] = head + call_.store.value_offset() + offset;
  }
}

void Attention::finish(const Task& task, const AttentionState& state) const {
  float* out[kAttentionPairs];
  for (int32_t pair = 0; pair < task.pairs; ++pair) {
    out[pair] = call_.out.row(row_of(task, pair)) + column_of(task, pair);
  }
  kernels_.finish_attention(state, task.pairs, shape_.head_dim, out);
}

void Attention::merge_and_finish(const Task& task, const SplitSegment* segments) const {
  const AttentionState& state = segments[0].state;
  for (int32_t i = 1; i < task.segments(); ++i) {
    kernels_.merge_attention(state, segments[i].state, task.pairs);
  }
  finish(task, state);
}

AttentionState Attention::allocate_state(ScratchArena& scratch, int32_t pairs) const {
  const auto rows = static_cast<size_t>(pairs);
  float* values = scratch.take_array<float>(rows * static_cast<size_t>(stride_));
  return {scratch.take_array<float>(rows), scratch.take_array<float>(rows), values, stride_};
}

}  // namespace

void run_attention(const AttentionCall& call, const Kernels& kernels, ThreadPool& pool,
                   ScratchArena& scratch) {
  const Attention attention(call, kernels);
  const std::vector<Task> tasks = attention.tasks();
  int64_t total_cost = 0;
  for (const Task& task : tasks) total_cost += task.cost();

  const ScratchScope scope(scratch);
  // A task that alone is a large share of the step would leave other threads idle at the end.
  std::vector<const Task*> whole;
  std::vector<SplitSegment> split;
  std::vector<size_t> split_starts;  // where each split task's segments begin in `split`
  for (const Task& task : tasks) {
    if (pool.size() == 1 || task.segments() == 1 ||
        task.cost() * kTasksPerThread * pool.size() <= total_cost) {
      whole.push_back(&task);
      continue;
    }
    split_starts.push_back(split.size());
    for (int32_t segment = task.first_segment; segment < task.last_segment; ++segment) {
      split.push_back({&task, segment, attention.allocate_state(scratch, task.pairs)});
    }
  }
  pool.parallel_for(split.size() + whole.size(), [&](size_t i) {
    if (i < split.size()) {
      attention.run_segment(*split[i].task, split[i].segment, split[i].state);
    } else {
      attention.run(*whole[i - split.size()]);
    }
  });
  pool.parallel_for(split_starts.size(), [&](size_t i) {
    const SplitSegment& first = split[split_starts[i]];
    attention.merge_and_finish(*first.task, &first);
  });
}

}  // namespace octavo::cpu
