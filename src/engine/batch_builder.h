// BatchBuilder: lays a plan out as the flat arrays a step needs.
//
// Owns the arrays and reuses them from step to step; the Batch it returns points into them and is
// valid until the next build. Thread safety: engine thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "backend/batch.h"
#include "sched/plan.h"
#include "sched/scheduler.h"

namespace octavo {

class BatchBuilder {
 public:
  // What a sequence's rows give.
  struct Wanted {
    bool from_all_rows = false;  // not only from the one that its samples are drawn from
    bool hidden_states = false;  // in place of logits
  };
  using WantedBySequence = std::function<Wanted(const Sequence&)>;

  // `previous_rows`: by the samples of the plan before this one, where that is not committed, the
  // rows in which the backend draws them.
  const Batch& build(const Plan& plan, const Scheduler& scheduler, const WantedBySequence& wanted,
                     std::span<const int32_t> previous_rows);

  // Where the output of the item's last row is, among the step's logits or its hidden states. Its
  // other rows, where they have output, come right before.
  int32_t last_output_row(size_t item) const { return last_output_rows_[item]; }

 private:
  struct GroupArrays {
    std::vector<int32_t> slots;
    std::vector<int32_t> table_starts;
    std::vector<BlockId> blocks;
  };

  void clear(size_t groups);
  void add_item(const PlanItem& item, const Sequence& sequence, int32_t block_size,
                const Wanted& wanted, std::span<const int32_t> previous_rows);

  std::vector<int32_t> tokens_;
  std::vector<int32_t> positions_;
  std::vector<int32_t> q_starts_;
  std::vector<int32_t> kv_lengths_;
  std::vector<GroupArrays> groups_;
  std::vector<int32_t> output_rows_;  // while the items are added: those with logits
  std::vector<int32_t> hidden_rows_;
  std::vector<int32_t> last_output_rows_;  // [items]
  Batch batch_;
};

}  // namespace octavo
