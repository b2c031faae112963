// Plan: what one step computes. The scheduler makes it, the engine lays it out and runs it.
//
// A step runs in this order: perform `moves` (kv_cache.h has their order), then the forward pass
// over `items`, then one sample per element of `samples`. Its blocks have memory when it is made.
//
// In every layer the K and V of all items must be stored before any item's attention reads: an item
// may read blocks that another item of the same plan writes (a prompt prefix that two requests
// share).
//
// A plan is the scheduler's; it stays valid until it is committed. A plan without items is not run
// and not committed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kv/kv_cache.h"

namespace octavo {

using SequenceId = int32_t;  // reused once the sequence is over and in no uncommitted plan

struct PlanItem {
  SequenceId sequence = -1;
  int32_t first_position = 0;  // of the q_len tokens to compute; attention sees [0, first + q_len)
  int32_t q_len = 0;
  // -1: all tokens are in the sequence's tokens(). Otherwise q_len is 1 and the token is the one
  // that row `previous_row` of the previous plan's samples draws.
  int32_t previous_row = -1;
  // The sequences samples[first_sample, first_sample + sample_count) each draw a token from the
  // logits of the item's last row: none (more of the prompt follows), one, or all n outputs of a
  // request at the end of its prompt.
  int32_t first_sample = 0;
  int32_t sample_count = 0;
};

struct Plan {
  uint64_t step = 0;
  int32_t token_count = 0;  // sum of q_len
  std::vector<PlanItem> items;
  std::vector<SequenceId> samples;
  BlockMoves moves;

  bool empty() const { return items.empty(); }
};

// One way on from a beam.
struct Branch {
  TokenId token = 0;
  int32_t beam = 0;  // what Sequence::beam() says of it from now on: the caller's own name for it
};

// What a step gave one element of `samples`.
struct SampleResult {
  // 0 to q_len new tokens of the sequence. With 0 the sequence is not over unless `finished`: its
  // last token is computed and sampled again.
  std::span<const TokenId> accepted;
  bool finished = false;  // a stop string or an end token was met; nothing more is computed
  // Of a beam (RequestSpec::beam_width), instead of the two above: it goes on as one sequence per
  // token, itself with the first and forks with the others; without any it is over.
  std::span<const Branch> branches = {};
};

}  // namespace octavo
