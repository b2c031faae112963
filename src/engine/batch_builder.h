// BatchBuilder: lays a plan out as the flat arrays a step needs.
//
// Owns the arrays and reuses them from step to step; the Batch it returns points into them and is
// valid until the next build. Thread safety: engine thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "backend/batch.h"
#include "sched/plan.h"
#include "sched/scheduler.h"

namespace octavo {

class BatchBuilder {
 public:
  // `wants_all_rows(sequence)`: every row of the sequence gives logits, not only a sampled last
  // one.
  using WantsAllRows = std::function<bool(const Sequence&)>;

  const Batch& build(const Plan& plan, const Scheduler& scheduler,
                     const WantsAllRows& wants_all_rows);

  // Where the item's rows with logits begin among the batch's logits rows. The row that an item's
  // samples are drawn from is its last one.
  int32_t first_logits_row(size_t item) const { return first_logits_rows_[item]; }
  int32_t last_logits_row(size_t item) const { return first_logits_rows_[item + 1] - 1; }

 private:
  struct GroupArrays {
    std::vector<int32_t> slots;
    std::vector<int32_t> table_starts;
    std::vector<BlockId> blocks;
  };

  void clear(size_t groups);
  void add_item(const PlanItem& item, const Sequence& sequence, int32_t block_size, bool all_rows);

  std::vector<int32_t> tokens_;
  std::vector<int32_t> positions_;
  std::vector<int32_t> q_starts_;
  std::vector<int32_t> kv_lengths_;
  std::vector<GroupArrays> groups_;
  std::vector<int32_t> logits_rows_;
  std::vector<int32_t> first_logits_rows_;  // [items + 1]
  Batch batch_;
};

}  // namespace octavo
