#include "backend/cpu/attention.h"

#include <algorithm>
#include <vector>

#include "backend/cpu/parallel.h"
#include "base/check.h"

namespace octavo::cpu {
namespace {

// Tasks per thread below which the longest tasks are cut by segments.
constexpr int64_t kTasksPerThread = 4;

// A task of the plan for one key head.
struct HeadTask {
  const AttentionPlan::Task* task = nullptr;
  int32_t kv_head = 0;
};

// A segment of a task that is computed apart, and where its state goes.
struct SplitSegment {
  HeadTask task;
  size_t segment = 0;
  AttentionState state;
};

int32_t heads_per_kv_head(const AttentionCall& call) {
  const KvShape& shape = call.store.shape();
  const int64_t kv_columns = int64_t{shape.head_dim} * shape.kv_heads;
  OCTAVO_CHECK(call.q.columns > 0 && call.q.columns % kv_columns == 0,
               "{} columns of queries for {} of keys", call.q.columns, kv_columns);
  return static_cast<int32_t>(call.q.columns / kv_columns);
}

// K and V of this type are stored rotated (kv_tiles.h).
bool keeps_rotated(DType type) {
  return type == DType::iq4_nl;
}

class Attention {
 public:
  Attention(const AttentionCall& call, AttentionPlans& plans, const Kernels& kernels)
      : call_(call),
        kernels_(kernels),
        shape_(call.store.shape()),
        place_(call.store.place(call.layer)),
        window_(shape_.groups[static_cast<size_t>(place_.group)].window),
        heads_per_kv_head_(heads_per_kv_head(call)),
        stride_((shape_.head_dim + 15) / 16 * 16),
        plan_(plans.plan(call.batch, call.store, place_.group, heads_per_kv_head_)) {}

  std::vector<HeadTask> tasks() const;
  // The whole task, from its segments to its rows of the output.
  void run(const HeadTask& task) const;
  void run_segment(const HeadTask& task, size_t segment, const AttentionState& state) const;
  void merge_and_finish(const SplitSegment* segments) const;
  // A state in scratch memory for `pairs` pairs.
  AttentionState allocate_state(ScratchArena& scratch, int32_t pairs) const;

 private:
  const AttentionPlan::Pair& pair_of(const HeadTask& task, int32_t index) const {
    return plan_.pairs[task.task->first_pair + static_cast<size_t>(index)];
  }
  // Where the head of the pair lies in q or out.
  float* head_of(const Tensor& rows, const HeadTask& task, int32_t index) const {
    const AttentionPlan::Pair& pair = pair_of(task, index);
    const int64_t head = int64_t{task.kv_head} * heads_per_kv_head_ + pair.head;
    return rows.row(pair.row) + head * shape_.head_dim;
  }
  void finish(const HeadTask& task, const AttentionState& state) const;

  const AttentionCall& call_;
  const Kernels& kernels_;
  const KvShape& shape_;
  CpuKvStore::LayerPlace place_;
  int32_t window_;
  int32_t heads_per_kv_head_;
  int64_t stride_;
  const AttentionPlan& plan_;
};

std::vector<HeadTask> Attention::tasks() const {
  std::vector<HeadTask> tasks;
  for (const AttentionPlan::Task& task : plan_.tasks) {
    for (int32_t kv_head = 0; kv_head < shape_.kv_heads; ++kv_head) {
      tasks.push_back({&task, kv_head});
    }
  }
  return tasks;
}

void Attention::run(const HeadTask& task) const {
  alignas(64) float values[2][kAttentionPairs * kMaxHeadDim];
  float max[2][kAttentionPairs];
  float sum[2][kAttentionPairs];
  const AttentionState state = {max[0], sum[0], values[0], stride_};
  const AttentionState next = {max[1], sum[1], values[1], stride_};
  const size_t first = task.task->first_segment;
  run_segment(task, first, state);
  for (size_t segment = first + 1; segment < task.task->last_segment; ++segment) {
    run_segment(task, segment, next);
    kernels_.merge_attention(state, next, task.task->pair_count);
  }
  finish(task, state);
}

void Attention::run_segment(const HeadTask& task, size_t index, const AttentionState& state) const {
  const AttentionPlan::Segment& planned = plan_.segments[index];
  AttentionSegment segment;
  segment.pairs = task.task->pair_count;
  segment.head_dim = shape_.head_dim;
  segment.scale = call_.params.scale;
  segment.soft_cap = call_.params.soft_cap;
  segment.type = shape_.type;
  const int32_t base = planned.index * kSegmentKeys;
  for (int32_t pair = 0; pair < segment.pairs; ++pair) {
    const auto row = static_cast<size_t>(pair_of(task, pair).row);
    const int32_t last_key = call_.batch.positions[row] + 1;
    const int32_t first_key = window_ > 0 ? std::max(0, last_key - window_) : 0;
    segment.queries[pair] = head_of(call_.q, task, pair);
    segment.first[pair] = std::clamp(first_key - base, 0, kSegmentKeys);
    segment.last[pair] = std::clamp(last_key - base, 0, kSegmentKeys);
  }
  segment.runs = plan_.runs.data() + planned.first_run;
  segment.run_count = planned.last_run - planned.first_run;
  segment.tile_offsets = plan_.tile_offsets.data() + planned.first_tile;
  segment.tile_count = planned.last_tile - planned.first_tile;
  segment.memory = call_.store.head(0, place_.index, task.kv_head);
  segment.value_offset = call_.store.value_offset();
  kernels_.attend_segment(segment, state);
}

void Attention::finish(const HeadTask& task, const AttentionState& state) const {
  float* out[kAttentionPairs];
  for (int32_t pair = 0; pair < task.task->pair_count; ++pair) {
    out[pair] = head_of(call_.out, task, pair);
  }
  kernels_.finish_attention(state, task.task->pair_count, shape_.head_dim, out);
  if (!keeps_rotated(shape_.type)) return;
  for (int32_t pair = 0; pair < task.task->pair_count; ++pair) {
    kernels_.rotate_groups(out[pair], out[pair], shape_.head_dim, kRotateBack);
  }
}

void Attention::merge_and_finish(const SplitSegment* segments) const {
  const HeadTask& task = segments[0].task;
  const AttentionState& state = segments[0].state;
  for (size_t i = 1; i < task.task->last_segment - task.task->first_segment; ++i) {
    kernels_.merge_attention(state, segments[i].state, task.task->pair_count);
  }
  finish(task, state);
}

AttentionState Attention::allocate_state(ScratchArena& scratch, int32_t pairs) const {
  const auto rows = static_cast<size_t>(pairs);
  float* values = scratch.take_array<float>(rows * static_cast<size_t>(stride_));
  return {scratch.take_array<float>(rows), scratch.take_array<float>(rows), values, stride_};
}

}  // namespace

void run_attention(const AttentionCall& given, AttentionPlans& plans, const Kernels& kernels,
                   ThreadPool& pool, ScratchArena& scratch) {
  const ScratchScope scope(scratch);
  AttentionCall call = given;
  if (keeps_rotated(call.store.shape().type)) {
    call.q.data = scratch.take_array<float>(static_cast<size_t>(call.q.elements()));
    for_rows(pool, call.q.rows, call.q.columns, [&](int64_t first, int64_t last) {
      kernels.rotate_groups(call.q.row(first), given.q.row(first), (last - first) * call.q.columns,
                            kRotateBack);
    });
  }
  const Attention attention(call, plans, kernels);
  const std::vector<HeadTask> tasks = attention.tasks();
  int64_t total_cost = 0;
  for (const HeadTask& task : tasks) total_cost += task.task->cost;

  // A task that alone is a large share of the step would leave other threads idle at the end.
  std::vector<const HeadTask*> whole;
  std::vector<SplitSegment> split;
  std::vector<size_t> split_starts;  // where each split task's segments begin in `split`
  for (const HeadTask& head_task : tasks) {
    const AttentionPlan::Task& task = *head_task.task;
    if (pool.size() == 1 || task.last_segment - task.first_segment == 1 ||
        task.cost * kTasksPerThread * pool.size() <= total_cost) {
      whole.push_back(&head_task);
      continue;
    }
    split_starts.push_back(split.size());
    for (size_t segment = task.first_segment; segment < task.last_segment; ++segment) {
      split.push_back({head_task, segment, attention.allocate_state(scratch, task.pair_count)});
    }
  }
  pool.parallel_for(split.size() + whole.size(), [&](size_t i) {
    if (i < split.size()) {
      attention.run_segment(split[i].task, split[i].segment, split[i].state);
    } else {
      attention.run(*whole[i - split.size()]);
    }
  });
  pool.parallel_for(split_starts.size(),
                    [&](size_t i) { attention.merge_and_finish(&split[split_starts[i]]); });
}

}  // namespace octavo::cpu
