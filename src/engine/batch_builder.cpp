#include "engine/batch_builder.h"

#include "base/check.h"

namespace octavo {

void BatchBuilder::clear(size_t groups) {
  tokens_.clear();
  positions_.clear();
  q_starts_.assign(1, 0);
  kv_lengths_.clear();
  groups_.resize(groups);
  for (GroupArrays& group : groups_) {
    group.slots.clear();
    group.table_starts.assign(1, 0);
    group.blocks.clear();
  }
  output_rows_.clear();
  hidden_rows_.clear();
  last_output_rows_.clear();
}

void BatchBuilder::add_item(const PlanItem& item, const Sequence& sequence, int32_t block_size,
                            const Wanted& wanted, std::span<const int32_t> previous_rows) {
  const int32_t end = item.first_position + item.q_len;
  std::vector<int32_t>& rows = wanted.hidden_states ? hidden_rows_ : output_rows_;
  for (int32_t position = item.first_position; position < end; ++position) {
    if (wanted.from_all_rows || (item.sample_count > 0 && position == end - 1)) {
      rows.push_back(static_cast<int32_t>(tokens_.size()));
    }
    tokens_.push_back(item.previous_row < 0
                          ? sequence.tokens()[static_cast<size_t>(position)]
                          : ~previous_rows[static_cast<size_t>(item.previous_row)]);
    positions_.push_back(position);
  }
  last_output_rows_.push_back(static_cast<int32_t>(rows.size()) - 1);
  q_starts_.push_back(static_cast<int32_t>(tokens_.size()));
  kv_lengths_.push_back(end);

  for (size_t g = 0; g < groups_.size(); ++g) {
    GroupArrays& group = groups_[g];
    const std::span<const BlockId> table = sequence.table(static_cast<int32_t>(g));
    for (int32_t position = item.first_position; position < end; ++position) {
      const BlockId block = table[static_cast<size_t>(position / block_size)];
      OCTAVO_CHECK(block != kNoBlock, "position {} has no block to write to", position);
      group.slots.push_back(block * block_size + position % block_size);
    }
    group.blocks.insert(group.blocks.end(), table.begin(), table.end());
    group.table_starts.push_back(static_cast<int32_t>(group.blocks.size()));
  }
}

const Batch& BatchBuilder::build(const Plan& plan, const Scheduler& scheduler,
                                 const WantedBySequence& wanted,
                                 std::span<const int32_t> previous_rows) {
  const KvConfig& kv = scheduler.kv().config();
  clear(kv.groups.size());
  for (const PlanItem& item : plan.items) {
    const Sequence& sequence = scheduler.sequence(item.sequence);
    add_item(item, sequence, kv.block_size, wanted(sequence), previous_rows);
  }
  output_rows_.insert(output_rows_.end(), hidden_rows_.begin(), hidden_rows_.end());
  batch_ = Batch{};
  batch_.tokens = tokens_;
  batch_.positions = positions_;
  batch_.q_starts = q_starts_;
  batch_.kv_lengths = kv_lengths_;
  batch_.output_rows = output_rows_;
  batch_.hidden_rows = static_cast<int32_t>(hidden_rows_.size());
  for (const GroupArrays& group : groups_) {
    batch_.groups.push_back({group.slots, group.table_starts, group.blocks});
  }
  return batch_;
}

}  // namespace octavo
