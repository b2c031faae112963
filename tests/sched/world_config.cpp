#include "sched/world_config.h"

#include <algorithm>

namespace octavo::sim {

namespace {

// Two bits: nearly every lookup meets entries with the same hash.
uint64_t colliding_hash(uint64_t parent_hash, std::span<const std::byte> content) {
  return xxh3_hash(parent_hash, content) & 3;
}

// The blocks of one sequence that is as long as the context.
int32_t blocks_of_one(const WorldConfig& world) {
  const int32_t size = world.kv.block_size;
  return (world.limits.context_length + size - 1) / size *
         static_cast<int32_t>(world.kv.groups.size());
}

}  // namespace

WorldConfig draw_config(Random& random) {
  WorldConfig world;
  const int32_t block_size = random.pick<int32_t>({1, 2, 4, 16});
  const int32_t window = random.between(1, 3 * block_size + 2);
  const std::vector<std::vector<GroupSpec>> groups = {
      {{0}}, {{0}}, {{window}}, {{0}, {window}}, {{window}, {0}, {2 * window}}};
  world.kv.block_size = block_size;
  world.kv.groups = random.pick(groups);
  world.limits.context_length = random.pick<int32_t>({24, 48, 96});
  // From a pool in which one long request just fits to one where all have room.
  const int32_t one = blocks_of_one(world);
  world.kv.max_blocks = random.between(one, random.pick<int32_t>({one + 3, 3 * one, 12 * one}));
  world.kv.extent_blocks = random.pick<int32_t>({1, 3, 8});
  world.kv.prefix_cache = random.chance(75);
  world.kv.host_blocks = random.pick<int32_t>({0, 0, one / 2 + 1, 8 * one});
  world.kv.report_spills = random.chance(50);
  // From always recomputed to always swapped.
  world.limits.costs = {.token = 1.0, .block = random.pick<double>({0.0, 1.0, 4.0, 1000.0})};
  world.kv.hash = random.chance(30) ? colliding_hash : xxh3_hash;
  if (random.chance(10)) world.most_outputs = 128;
  world.limits.max_running_sequences = world.most_outputs > 6 ? 160 : random.between(1, 16);
  world.limits.max_queued_requests = random.between(1, 40);
  world.token_budgets = {random.pick<int32_t>({1, 3, 7, 16, 64, 256})};
  world.limits.max_beam_width = std::min(6, world.token_budgets[0]);
  world.runs_ahead = random.chance(50);
  world.keeps_end = random.chance(50);
  world.cancel_percent = random.pick<int32_t>({0, 2, 10});
  world.reject_percent = random.pick<int32_t>({0, 0, 3, 20});
  world.several_percent = random.pick<int32_t>({0, 30});
  world.arrivals = random.pick<int32_t>({1, 3, 20});
  world.vocabulary = random.pick<int32_t>({2, 50, 100000});
  world.is_scarce = random.chance(30);
  return world;
}

WorldConfig draw_full_config(Random& random) {
  WorldConfig world;
  const int32_t block_size = random.pick<int32_t>({2, 4, 16});
  const int32_t window = random.between(1, 3 * block_size + 2);
  const std::vector<std::vector<GroupSpec>> groups = {{{0}, {window}},
                                                      {{window}, {0}, {2 * window}}};
  world.kv.block_size = block_size;
  world.kv.groups = random.pick(groups);
  world.limits.context_length = random.pick<int32_t>({48, 96});
  const int32_t one = blocks_of_one(world);
  world.kv.max_blocks = random.between(one, 4 * one);
  world.kv.extent_blocks = random.pick<int32_t>({1, 3, 8});
  world.kv.host_blocks = random.between(one / 2, 4 * one);
  world.kv.report_spills = true;
  // About what makes one sequence cheaper to swap and the next cheaper to compute again.
  world.limits.costs = {.token = 1.0, .block = block_size * random.pick<double>({0.1, 0.2})};
  world.kv.hash = random.chance(30) ? colliding_hash : xxh3_hash;
  world.most_outputs = 128;
  world.limits.max_running_sequences = 160;
  world.limits.max_queued_requests = 40;
  world.token_budgets = {6, 7, 16, 64, 256};
  world.limits.max_beam_width = 6;
  world.runs_ahead = true;
  world.keeps_end = random.chance(50);
  world.cancel_percent = 5;
  world.reject_percent = 3;
  world.several_percent = 30;
  world.arrivals = 3;
  world.vocabulary = random.pick<int32_t>({2, 50});
  world.is_scarce = random.chance(50);
  return world;
}

}  // namespace octavo::sim
