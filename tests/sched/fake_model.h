// FakeModel: a language model for tests of the scheduler, made of hashes and a KV memory of slots.
//
// Like a transformer, the value stored for a position depends on its token and on every value that
// its KV groups let it see, read through the block tables it is given; the next token is a hash of
// the same. A slot that is wrong, reused too early or never written therefore changes the tokens.
// reference_tokens() computes the same tokens without blocks, batches or a scheduler.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kv/group.h"
#include "sched/scheduler.h"

namespace octavo::sim {

// What sampling depends on besides the tokens.
struct Sampling {
  uint64_t seed = 0;
  int32_t vocabulary = 100;
  int32_t end_every = 0;  // a token divisible by this one ends the sequence; 0: none does
};

// Scrambles the bits (the finaliser of splitmix64).
constexpr uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  return x ^ x >> 31;
}

// The arithmetic that the model and the reference share.
uint64_t key_hash(std::string_view extra_key);
uint64_t stored_value(TokenId token, int32_t position, uint64_t key, uint64_t seen, int32_t group);
constexpr uint64_t position_weight(int32_t position) {
  return mix(static_cast<uint64_t>(position)) | 1;
}
TokenId sample(uint64_t seen, const Sampling& sampling, int32_t output_index, int32_t position);
bool is_end(TokenId token, const Sampling& sampling);

// The new tokens of output `output_index` of a request that runs alone; an end token is included.
std::vector<TokenId> reference_tokens(std::span<const GroupSpec> groups,
                                      std::span<const TokenId> prompt, std::string_view extra_key,
                                      const Sampling& sampling, int32_t output_index,
                                      int32_t max_new_tokens);

// The choice of a made-up beam search from what the logits of each live beam depend on, in the
// order of their numbers: the branches of each. How many live on and from which is a hash, too; the
// new beams are numbered from 0.
std::vector<std::vector<Branch>> choose_beams(std::span<const uint64_t> seen, int32_t width,
                                              const Sampling& sampling);
// One number per choice of such a search that runs alone: a hash of what it saw.
std::vector<uint64_t> reference_beams(std::span<const GroupSpec> groups, const RequestSpec& spec,
                                      const Sampling& sampling);
uint64_t hash_of(std::span<const uint64_t> values);

class FakeModel {
 public:
  FakeModel(std::vector<GroupSpec> groups, int32_t block_size, int32_t max_blocks,
            int32_t host_blocks);

  // Fills a block with values that nothing computed.
  void poison(BlockId block);
  void copy_block(BlockId from, BlockId to);
  void swap_out(const BlockSwap& swap);
  void swap_in(const BlockSwap& swap);
  std::span<uint64_t> host_slot(HostSlot slot);
  // Computes one position and returns what its logits depend on. tables[g][p / block_size] is the
  // block of position p in group g.
  uint64_t compute(std::span<const std::vector<BlockId>> tables, int32_t position, TokenId token,
                   uint64_t key);

 private:
  uint64_t& slot(std::span<const BlockId> table, int32_t position);
  std::span<uint64_t> block(BlockId block);

  std::vector<GroupSpec> groups_;
  int32_t block_size_;
  std::vector<uint64_t> slots_;  // [max_blocks, block_size]
  std::vector<uint64_t> host_;   // [host_blocks, block_size]
};

}  // namespace octavo::sim
