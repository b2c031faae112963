// Sequences that share blocks: the same bits as if they did not, and fewer tiles loaded.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "backend/cpu/attention_plan.h"
#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_kv_store.h"
#include "backend/random_values.h"
#include "backend/sharing_tree.h"

namespace octavo::cpu {
namespace {

KvShape shape_of(DType type, int block_size, int window, int head_dim) {
  KvShape shape;
  shape.block_size = block_size;
  shape.layers_per_block = 1;
  shape.kv_heads = 2;
  shape.head_dim = head_dim;
  shape.type = type;
  shape.groups = {{window, {0}}};
  return shape;
}

// Writes random keys and values to the first `blocks` blocks.
void fill(CpuBackend& backend, KvStore& store, int blocks, std::mt19937& random) {
  const KvShape& shape = store.shape();
  SharingTree one;
  one.block_size = shape.block_size;
  one.tables.emplace_back(static_cast<size_t>(blocks));
  std::iota(one.tables[0].begin(), one.tables[0].end(), 0);
  one.lengths = {blocks * shape.block_size};
  one.rows = one.lengths;
  TreeBatch all(one);
  std::vector<int32_t> slots = all.positions;
  all.batch.groups[0].slots = slots;
  const int64_t columns = int64_t{shape.kv_heads} * shape.head_dim;
  const auto rows = static_cast<int64_t>(slots.size());
  auto k = random_values(random, static_cast<size_t>(rows * columns), 2.0F);
  auto v = random_values(random, static_cast<size_t>(rows * columns));
  auto q = k;
  backend.begin_step(all.batch);
  backend.rope_and_store({q.data(), rows, columns}, {k.data(), rows, columns},
                         {v.data(), rows, columns}, 0, RopeTable{}, all.batch, store);
}

std::vector<float> attend(CpuBackend& backend, const KvStore& store, const SharingTree& tree,
                          std::vector<float>& q, int heads, float soft_cap) {
  const TreeBatch step(tree);
  const int64_t columns = int64_t{heads} * store.shape().head_dim;
  const auto rows = static_cast<int64_t>(step.positions.size());
  std::vector<float> out(q.size());
  backend.begin_step(step.batch);
  backend.attention({out.data(), rows, columns}, {q.data(), rows, columns}, 0,
                    {1.0F / std::sqrt(static_cast<float>(store.shape().head_dim)), soft_cap},
                    step.batch, store);
  return out;
}

// The tree with a block of its own for every entry of every table, and what to copy there.
SharingTree unshare(const SharingTree& tree, std::vector<BlockCopy>& copies) {
  SharingTree apart = tree;
  for (auto& table : apart.tables) {
    for (int32_t& block : table) {
      if (block == kNoBlock) continue;
      copies.push_back({0, block, apart.blocks});
      block = apart.blocks++;
    }
  }
  return apart;
}

// Takes away the blocks that no row's window reaches.
void drop_unseen(SharingTree& tree, int window) {
  for (size_t s = 0; window > 0 && s < tree.tables.size(); ++s) {
    const int first_seen = tree.lengths[s] - tree.rows[s] - window + 1;
    for (size_t i = 0; i < tree.tables[s].size(); ++i) {
      if (static_cast<int>(i + 1) * tree.block_size <= first_seen) tree.tables[s][i] = kNoBlock;
    }
  }
}

TEST(CpuAttentionSharing, GivesTheBitsOfBlocksOfOnesOwn) {
  const std::vector<DType> types(kKvTypes.begin(), kKvTypes.end());
  for (uint32_t seed = 1; seed <= 25; ++seed) {
    std::mt19937 random(seed);
    const int block_size = 16 << random_int(random, 0, 2);
    const int head_dim = 32 * random_int(random, 1, 3);
    const int window = random_int(random, 0, 1) * random_int(random, 1, 400);
    const int heads = 2 * random_int(random, 1, 9);
    const float soft_cap = random_int(random, 0, 2) == 0 ? 20.0F : 0.0F;
    const bool decode = random_int(random, 0, 1) == 0;
    SharingTree tree = random_sharing_tree(random, random_int(random, 2, 20), block_size,
                                           256 / block_size, decode ? 1 : 12);
    drop_unseen(tree, window);
    std::vector<BlockCopy> copies;
    const SharingTree apart = unshare(tree, copies);
    size_t tokens = 0;
    for (const int32_t rows : tree.rows) tokens += static_cast<size_t>(rows);
    auto q = random_values(random, tokens * static_cast<size_t>(heads * head_dim), 2.0F);
    const KvShape shape = shape_of(types[seed % types.size()], block_size, window, head_dim);
    std::vector<float> expected;
    for (const Kernels* kernels : available_kernels()) {
      for (int threads = 1; threads <= 3; ++threads) {
        const auto backend = CpuBackend::create({threads, kernels->name}).value();
        const auto store = backend->create_kv_store(shape, apart.blocks).value();
        std::mt19937 content(seed);
        fill(*backend, *store, tree.blocks, content);
        backend->copy_blocks(*store, copies);
        if (expected.empty()) expected = attend(*backend, *store, apart, q, heads, soft_cap);
        ASSERT_TRUE(same_bits(attend(*backend, *store, tree, q, heads, soft_cap), expected))
            << "seed " << seed << ", " << info(shape.type).name << ", " << kernels->name << ", "
            << threads << " threads";
      }
    }
  }
}

size_t loaded_tiles(const SharingTree& tree, int heads_per_kv_head) {
  const auto store = CpuKvStore::create(shape_of(DType::f16, tree.block_size, 0, 32), 10'000);
  const TreeBatch step(tree);
  return plan_attention(step.batch, **store, 0, heads_per_kv_head).tile_offsets.size();
}

SharingTree decode_step(const std::vector<std::vector<int32_t>>& tables) {
  SharingTree tree;
  tree.tables = tables;
  for (const auto& table : tables) {
    tree.lengths.push_back(static_cast<int32_t>(table.size()) * 16);
    tree.rows.push_back(1);
  }
  return tree;
}

TEST(CpuAttentionPlan, LoadsASharedTileOnceAtEveryLevel) {
  // The picture in attention_plan.h: seven blocks, twelve entries.
  EXPECT_EQ(loaded_tiles(decode_step({{0, 1, 2, 3}, {0, 1, 2, 4}, {0, 1, 5, 6}}), 3), 7u);
  EXPECT_EQ(loaded_tiles(decode_step({{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9, 10, 11}}), 3), 12u);
  // Nine sequences, five of which fit a task: each of two prompts is loaded once, although they
  // come mixed, and a task that is filled from the left would load the second one twice.
  std::vector<std::vector<int32_t>> tables;
  int32_t own = 100;
  for (int s = 0; s < 9; ++s) {
    std::vector<int32_t> table(10);
    std::iota(table.begin(), table.end(), s % 2 == 0 && s < 8 ? 0 : 20);
    table.push_back(own++);
    tables.push_back(table);
  }
  EXPECT_EQ(loaded_tiles(decode_step(tables), 3), 10u + 10 + 9);
  // Thirty-two users of one system prompt: sixteen, eight and one of them to a task.
  tables.clear();
  for (int s = 0; s < 32; ++s) {
    std::vector<int32_t> table(128);
    std::iota(table.begin(), table.end(), 0);
    for (int i = 0; i < 4; ++i) table.push_back(own++);
    tables.push_back(table);
  }
  EXPECT_EQ(loaded_tiles(decode_step(tables), 1), 2u * 128 + 32 * 4);
  EXPECT_EQ(loaded_tiles(decode_step(tables), 2), 4u * 128 + 32 * 4);
  EXPECT_EQ(loaded_tiles(decode_step(tables), 16), 32u * 128 + 32 * 4);
}

// As long as all pairs fit one task, no tile is loaded twice, whatever the tree.
TEST(CpuAttentionPlan, LoadsNoTileTwiceInATask) {
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    const int sequences = random_int(random, 1, 16);
    const SharingTree tree =
        random_sharing_tree(random, sequences, 16 << random_int(random, 0, 1), 20, 1);
    std::set<int64_t> tiles;
    for (size_t s = 0; s < tree.tables.size(); ++s) {
      for (int32_t at = 0; at < tree.lengths[s]; at += 16) {
        tiles.insert(int64_t{tree.tables[s][static_cast<size_t>(at / tree.block_size)]} *
                         tree.block_size +
                     at % tree.block_size);
      }
    }
    EXPECT_EQ(loaded_tiles(tree, 1), tiles.size()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace octavo::cpu
