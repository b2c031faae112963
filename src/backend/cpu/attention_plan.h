// How the attention of a step is cut into tasks, and which stored tiles each task reads.
//
// Planned once per step for each KV group: the layers and key heads of a group differ only in where
// their memory begins. What sequences share is seen in the block tables alone. Sequences are put in
// the order of their tables, so that those with the same first blocks are neighbours, and a task
// takes pairs of several neighbours; in each tile, the pairs of a task that read the same memory
// are one run, for which the tile is loaded once. So sharing is used at every level of the tree
// that forks and prefix hits make, and it ends where the tables part:
//
//   tile        0   1   2   3           a run is a rectangle: pairs that see the same
//   sequence A  a   b   c   d           tiles, and the tiles in which they do:
//   sequence B  a   b   c   e           (A B C: a b) (A B: c) (C: f g) (A: d) (B: e)
//   sequence C  a   b   f   g
//
// No bit of the result depends on the plan (attention_kernels.h).
#pragma once

#include <cstdint>
#include <vector>

#include "backend/batch.h"
#include "backend/cpu/cpu_kv_store.h"
#include "backend/cpu/kernel_args.h"

namespace octavo::cpu {

struct AttentionPlan {
  struct Pair {
    int32_t row = 0;   // of the batch
    int32_t head = 0;  // among the heads that share a key head
  };
  // The part of a task that lies in one segment of keys.
  struct Segment {
    int32_t index = 0;
    size_t first_run = 0;
    size_t last_run = 0;    // one past
    size_t first_tile = 0;  // into tile_offsets; the runs' tiles follow one another
    size_t last_tile = 0;
  };
  struct Task {
    size_t first_pair = 0;
    int32_t pair_count = 0;  // at most kAttentionPairs
    size_t first_segment = 0;
    size_t last_segment = 0;  // one past
    int64_t cost = 0;         // pairs times tiles that they see
  };

  std::vector<Pair> pairs;
  std::vector<Task> tasks;
  std::vector<Segment> segments;
  std::vector<TileRun> runs;
  // Where each loaded tile of K begins, from the same layer and key head in block 0. Its size is
  // how often a tile is loaded for a key head of a layer, whoever uses it.
  std::vector<int64_t> tile_offsets;
};

// The attention of the batch over one KV group of the store.
AttentionPlan plan_attention(const Batch& batch, const CpuKvStore& store, int32_t group,
                             int32_t heads_per_kv_head);

// The plans of the current step, each made when the first layer asks for it.
class AttentionPlans {
 public:
  void begin_step() { entries_.clear(); }

  const AttentionPlan& plan(const Batch& batch, const CpuKvStore& store, int32_t group,
                            int32_t heads_per_kv_head);

 private:
  struct Entry {
    const CpuKvStore* store;
    int32_t group;
    int32_t heads_per_kv_head;
    AttentionPlan plan;
  };
  std::vector<Entry> entries_;
};

}  // namespace octavo::cpu
