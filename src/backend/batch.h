// One step's work laid out as flat arrays: what the engine hands to the backend and the model.
//
// A step mixes whole prompts, chunks of prompts and single next tokens; the only difference between
// them is how many rows (q_len) a sequence has. Rows of a sequence are consecutive and in order of
// position. The spans are owned by the engine and stay valid until the step is over.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/block.h"

namespace octavo {

// The block tables of one KV group, concatenated (compressed sparse rows).
struct GroupTables {
  std::span<const int32_t> slots;  // [tokens] block * block_size + offset that the row writes
  std::span<const int32_t> table_starts;  // [sequences + 1] into `blocks`
  std::span<const BlockId> blocks;  // entry i of a sequence covers positions i*block_size and on
};

struct Batch {
  // [tokens] a token id, or ~r (negative): the token sampled by row r of the previous step.
  std::span<const int32_t> tokens;
  int32_t axes = 1;                    // position axes per token; 1 is the only value accepted now
  std::span<const int32_t> positions;  // [tokens, axes]
  std::span<const int32_t>
      q_starts;  // [sequences + 1]: rows q_starts[s] to q_starts[s+1] belong to s
  std::span<const int32_t>
      kv_lengths;  // [sequences] tokens in the cache once this step has stored its own
  std::vector<GroupTables> groups;  // [KV groups]
  // [rows with output] first those that give logits, then those that give their final hidden state;
  // each of the two ascending.
  std::span<const int32_t> output_rows;
  int32_t hidden_rows = 0;            // how many of output_rows, the last ones, give hidden states
  std::span<const int32_t> adapters;  // [tokens] adapter id, or empty: none; must be empty now
  // Rows that come with an embedding instead of a token (images); must be empty now.
  std::span<const int32_t> embedded_rows;
  bool causal = true;  // false: rows see all of their sequence's keys; must be true now

  int32_t token_count() const { return static_cast<int32_t>(tokens.size()); }
  int32_t sequence_count() const { return static_cast<int32_t>(kv_lengths.size()); }
};

}  // namespace octavo
