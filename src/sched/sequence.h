// Sequence: one stream of tokens of a request, as the scheduler keeps it.
//
// The scheduler owns and changes it; the engine reads it to lay out a batch. What a reference shows
// is that of the moment: read it after plan() and before the next call of plan(), commit() or
// cancel().
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "kv/block_table.h"
#include "sched/plan.h"

namespace octavo {

using RequestId = uint64_t;
struct Gang;

// Aligned, so that what every step needs lies in two lines of the processor's cache.
class alignas(64) Sequence {
 public:
  SequenceId id() const { return id_; }
  RequestId request() const { return request_; }
  // 0 .. outputs - 1; of beams, 0 .. width - 1: one that died leaves its index to another.
  int32_t output_index() const { return output_index_; }

  int32_t beam() const { return beam_; }  // the Branch's that it began or went on with; first 0

  // The prompt and what was generated and committed; the index is the position.
  std::span<const TokenId> tokens() const { return tokens_; }
  int32_t prompt_length() const { return prompt_length_; }
  int32_t generated_length() const { return static_cast<int32_t>(tokens_.size()) - prompt_length_; }
  // Length with the samples that are drawn but not committed.
  int32_t expected_length() const {
    return static_cast<int32_t>(tokens_.size()) + uncommitted_samples_;
  }

  // Positions whose K and V are written once every plan made so far has run.
  int32_t computed_length() const { return computed_; }
  // Block ids of a KV group by position / block_size; kNoBlock where the window has passed.
  std::span<const BlockId> table(int32_t group) const {
    return blocks_.tables[static_cast<size_t>(group)].blocks;
  }
  // Finished or cancelled, and kept only because a plan that is not committed names it. Its samples
  // are to be thrown away.
  bool over() const { return state_ == State::over; }
  // Drawn from by a step that is not committed.
  bool awaits_result() const { return uncommitted_samples_ > 0; }
  // False for samples that commit() will ignore: the sequence is over, or it was truncated after
  // the step was planned.
  bool wants_results_of(uint64_t step) const { return !over() && step >= wanted_from_step_; }

 private:
  friend class Scheduler;
  enum class State : uint8_t {
    waiting,    // in the queue, owns no blocks
    gathering,  // owns no blocks: the first of its gang, which waits or runs, will share its own
    running,
    over,
  };
  // The one order of service, lowest first: admission follows it and preemption goes backwards.
  using Rank = std::tuple<int32_t, uint64_t, int32_t>;  // priority, arrival, output index
  Rank rank() const { return {priority_, request_, output_index_}; }
  // How far it could be computed now.
  int32_t goal() const { return gang_ == nullptr ? expected_length() : goal_in_gang(); }
  int32_t goal_in_gang() const;
  // Tokens that could be computed next; 0 when the next token is not to be drawn any more.
  int32_t remaining() const {
    const bool complete = expected_length() - prompt_length_ >= max_new_tokens_;
    return complete ? 0 : goal() - computed_;
  }

  // Hints that a step will read and write the sequence; then, once that is there, its newest token.
  void prefetch() const {
    __builtin_prefetch(&state_, /*rw=*/1);
    __builtin_prefetch(&blocks_, /*rw=*/1);
  }
  void prefetch_end() const { __builtin_prefetch(tokens_.data() + tokens_.size(), /*rw=*/1); }

  // What every step reads and writes, first and together: most of what a step costs is to load it.
  State state_ = State::waiting;
  int32_t prompt_length_ = 0;
  int32_t max_new_tokens_ = 0;
  int32_t computed_ = 0;
  int32_t in_flight_ = 0;            // times that uncommitted plans name it
  int32_t uncommitted_samples_ = 0;  // drawn by uncommitted plans and still wanted
  int32_t last_row_ = -1;            // of its newest uncommitted sample in that plan's samples
  int32_t promised_blocks_ = 0;      // kept back for the rest of its prompt when it was admitted
  int32_t unforked_ = 0;  // outputs 1 .. n - 1 that are still to be forked off this sequence
  SequenceId id_ = -1;
  Gang* gang_ = nullptr;           // of a beam that is not over
  uint64_t wanted_from_step_ = 0;  // results of earlier steps are void since a truncation
  std::vector<TokenId> tokens_;
  SequenceBlocks blocks_;

  std::shared_ptr<const std::string> extra_key_;  // of its prefixes in the cache
  RequestId request_ = 0;                         // also the order of arrival
  int32_t output_index_ = 0;
  int32_t beam_ = 0;
  int32_t priority_ = 0;
  bool was_admitted_ = false;
  Retention retention_;
};

}  // namespace octavo
