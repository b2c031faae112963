#include "sched/fake_model.h"

#include <algorithm>

#include "base/check.h"

namespace octavo::sim {

uint64_t key_hash(std::string_view extra_key) {
  uint64_t hash = 0;
  for (const char c : extra_key) hash = mix(hash ^ static_cast<unsigned char>(c));
  return hash;
}

uint64_t stored_value(TokenId token, int32_t position, uint64_t key, uint64_t seen, int32_t group) {
  const uint64_t content =
      mix(static_cast<uint64_t>(token) << 32 | static_cast<uint32_t>(position));
  return mix(content ^ mix(key) ^ mix(seen + static_cast<uint64_t>(group)));
}

TokenId sample(uint64_t seen, const Sampling& sampling, int32_t output_index, int32_t position) {
  const uint64_t draw = static_cast<uint64_t>(output_index) << 32 | static_cast<uint32_t>(position);
  const uint64_t hash = mix(seen ^ mix(sampling.seed ^ mix(draw)));
  return static_cast<TokenId>(hash % static_cast<uint64_t>(sampling.vocabulary));
}

bool is_end(TokenId token, const Sampling& sampling) {
  return sampling.end_every > 0 && token % sampling.end_every == 0;
}

std::vector<TokenId> reference_tokens(std::span<const GroupSpec> groups,
                                      std::span<const TokenId> prompt, std::string_view extra_key,
                                      const Sampling& sampling, int32_t output_index,
                                      int32_t max_new_tokens) {
  const uint64_t key = key_hash(extra_key);
  // sums[g][p] is the weighted sum of the values of group g at positions below p.
  std::vector<std::vector<uint64_t>> sums(groups.size(), std::vector<uint64_t>{0});
  std::vector<TokenId> tokens(prompt.begin(), prompt.end());
  const size_t end = prompt.size() + static_cast<size_t>(max_new_tokens);
  for (int32_t p = 0; tokens.size() < end; ++p) {
    const auto index = static_cast<size_t>(p);
    uint64_t seen = 0;
    for (size_t g = 0; g < groups.size(); ++g) {
      seen += sums[g][index] - sums[g][static_cast<size_t>(first_visible(groups[g], p))];
    }
    uint64_t seen_with_own = seen;
    for (size_t g = 0; g < groups.size(); ++g) {
      const uint64_t value =
          stored_value(tokens[index], p, key, seen, static_cast<int32_t>(g)) * position_weight(p);
      sums[g].push_back(sums[g][index] + value);
      seen_with_own += value;
    }
    if (index + 1 < tokens.size()) continue;
    tokens.push_back(sample(seen_with_own, sampling, output_index, p));
    if (is_end(tokens.back(), sampling)) break;
  }
  tokens.erase(tokens.begin(), tokens.begin() + static_cast<ptrdiff_t>(prompt.size()));
  return tokens;
}

uint64_t hash_of(std::span<const uint64_t> values) {
  uint64_t hash = 0;
  for (const uint64_t value : values) hash = mix(hash ^ value);
  return hash;
}

std::vector<std::vector<Branch>> choose_beams(std::span<const uint64_t> seen, int32_t width,
                                              const Sampling& sampling) {
  std::vector<std::vector<Branch>> branches(seen.size());
  uint64_t hash = mix(hash_of(seen) ^ sampling.seed);
  if (sampling.end_every > 0 && hash % static_cast<uint64_t>(sampling.end_every) == 0) {
    return branches;
  }
  hash = mix(hash);
  const auto live = static_cast<int32_t>(1 + hash % static_cast<uint64_t>(width));
  for (int32_t beam = 0; beam < live; ++beam) {
    hash = mix(hash);
    const auto parent = static_cast<size_t>(hash % seen.size());
    const auto token =
        static_cast<TokenId>(mix(hash ^ seen[parent]) % static_cast<uint64_t>(sampling.vocabulary));
    branches[parent].push_back({token, beam});
  }
  return branches;
}

std::vector<uint64_t> reference_beams(std::span<const GroupSpec> groups, const RequestSpec& spec,
                                      const Sampling& sampling) {
  std::vector<uint64_t> trace;
  std::vector<std::vector<TokenId>> beams = {spec.prompt};
  while (!beams.empty() && std::ssize(trace) < spec.max_new_tokens) {
    std::vector<uint64_t> seen;
    for (const std::vector<TokenId>& tokens : beams) {
      // Everything again, in a memory of its own in which every group keeps all positions.
      FakeModel model({groups.begin(), groups.end()}, static_cast<int32_t>(tokens.size()),
                      static_cast<int32_t>(groups.size()), 0);
      std::vector<std::vector<BlockId>> tables;
      tables.reserve(groups.size());
      for (BlockId group = 0; group < std::ssize(groups); ++group) tables.push_back({group});
      uint64_t last = 0;
      for (size_t p = 0; p < tokens.size(); ++p) {
        last = model.compute(tables, static_cast<int32_t>(p), tokens[p], key_hash(spec.extra_key));
      }
      seen.push_back(last);
    }
    trace.push_back(hash_of(seen));
    const auto branches = choose_beams(seen, spec.beam_width, sampling);
    std::vector<std::vector<TokenId>> next(static_cast<size_t>(spec.beam_width));
    size_t live = 0;
    for (size_t parent = 0; parent < branches.size(); ++parent) {
      for (const Branch& branch : branches[parent]) {
        std::vector<TokenId>& tokens = next[static_cast<size_t>(branch.beam)];
        tokens = beams[parent];
        tokens.push_back(branch.token);
        ++live;
      }
    }
    next.resize(live);
    beams = std::move(next);
  }
  return trace;
}

FakeModel::FakeModel(std::vector<GroupSpec> groups, int32_t block_size, int32_t max_blocks,
                     int32_t host_blocks)
    : groups_(std::move(groups)),
      block_size_(block_size),
      slots_(static_cast<size_t>(max_blocks) * static_cast<size_t>(block_size)),
      host_(static_cast<size_t>(host_blocks) * static_cast<size_t>(block_size)) {
  for (BlockId block = 0; block < max_blocks; ++block) poison(block);
}

std::span<uint64_t> FakeModel::block(BlockId block) {
  const auto size = static_cast<size_t>(block_size_);
  return std::span(slots_).subspan(static_cast<size_t>(block) * size, size);
}

std::span<uint64_t> FakeModel::host_slot(HostSlot slot) {
  const auto size = static_cast<size_t>(block_size_);
  return std::span(host_).subspan(static_cast<size_t>(slot) * size, size);
}

void FakeModel::poison(BlockId block) {
  std::ranges::fill(this->block(block), mix(~static_cast<uint64_t>(block)));
}

void FakeModel::copy_block(BlockId from, BlockId to) {
  std::ranges::copy(block(from), block(to).begin());
}

void FakeModel::swap_out(const BlockSwap& swap) {
  std::ranges::copy(block(swap.block), host_slot(swap.host_slot).begin());
}

void FakeModel::swap_in(const BlockSwap& swap) {
  std::ranges::copy(host_slot(swap.host_slot), block(swap.block).begin());
}

uint64_t& FakeModel::slot(std::span<const BlockId> table, int32_t position) {
  const auto index = static_cast<size_t>(position / block_size_);
  OCTAVO_CHECK(index < table.size() && table[index] != kNoBlock, "no block holds position {}",
               position);
  return slots_[static_cast<size_t>(table[index]) * static_cast<size_t>(block_size_) +
                static_cast<size_t>(position % block_size_)];
}

uint64_t FakeModel::compute(std::span<const std::vector<BlockId>> tables, int32_t position,
                            TokenId token, uint64_t key) {
  uint64_t seen = 0;
  for (size_t g = 0; g < groups_.size(); ++g) {
    for (int32_t p = first_visible(groups_[g], position); p < position; ++p) {
      seen += slot(tables[g], p) * position_weight(p);
    }
  }
  uint64_t seen_with_own = seen;
  for (size_t g = 0; g < groups_.size(); ++g) {
    const uint64_t value = stored_value(token, position, key, seen, static_cast<int32_t>(g));
    slot(tables[g], position) = value;
    seen_with_own += value * position_weight(position);
  }
  return seen_with_own;
}

}  // namespace octavo::sim
