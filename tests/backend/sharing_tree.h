// Sequences that share blocks as forks and prefix hits make them, and the same with nothing shared.
//
// A sequence begins with a random number of another's blocks, which may themselves be that one's
// from a third, and goes on with its own. Its length may end anywhere in its last block, shared or
// not.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "backend/batch.h"
#include "backend/random_values.h"

namespace octavo {

struct SharingTree {
  int block_size = 16;
  int blocks = 0;  // distinct ones, 0 to blocks - 1
  std::vector<std::vector<int32_t>> tables;
  std::vector<int32_t> rows;     // of each sequence, its last positions
  std::vector<int32_t> lengths;  // of each sequence

  int copied_blocks() const {
    size_t count = 0;
    for (const auto& table : tables) count += table.size();
    return static_cast<int>(count);
  }
};

inline SharingTree random_sharing_tree(std::mt19937& random, int sequences, int block_size,
                                       int most_own_blocks, int most_rows) {
  SharingTree tree;
  tree.block_size = block_size;
  std::vector<int> depths;
  for (int s = 0; s < sequences; ++s) {
    std::vector<int32_t> table;
    int depth = 0;
    if (s > 0 && random_int(random, 0, 4) > 0) {
      const auto parent = static_cast<size_t>(random_int(random, 0, s - 1));
      depth = depths[parent] + 1;
      if (depth <= 4) {
        const int shared = random_int(random, 1, static_cast<int>(tree.tables[parent].size()));
        table.assign(tree.tables[parent].begin(), tree.tables[parent].begin() + shared);
      }
    }
    const int own = random_int(random, table.empty() ? 1 : 0, most_own_blocks);
    for (int i = 0; i < own; ++i) table.push_back(tree.blocks++);
    const int most = static_cast<int>(table.size()) * block_size;
    const int length = most - random_int(random, 0, block_size - 1);
    tree.lengths.push_back(length);
    tree.rows.push_back(std::min(length, random_int(random, 1, most_rows)));
    tree.tables.push_back(std::move(table));
    depths.push_back(depth <= 4 ? depth : 0);
  }
  // Sequences come to a step in any order.
  std::vector<size_t> order(tree.tables.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), random);
  SharingTree shuffled = tree;
  for (size_t i = 0; i < order.size(); ++i) {
    shuffled.tables[i] = tree.tables[order[i]];
    shuffled.rows[i] = tree.rows[order[i]];
    shuffled.lengths[i] = tree.lengths[order[i]];
  }
  return shuffled;
}

// A batch over the tables of a tree; owns what the batch's spans show.
struct TreeBatch {
  explicit TreeBatch(const SharingTree& tree) : lengths(tree.lengths) {
    for (size_t s = 0; s < tree.tables.size(); ++s) {
      for (int32_t row = 0; row < tree.rows[s]; ++row) {
        positions.push_back(tree.lengths[s] - tree.rows[s] + row);
      }
      q_starts.push_back(static_cast<int32_t>(positions.size()));
      blocks.insert(blocks.end(), tree.tables[s].begin(), tree.tables[s].end());
      table_starts.push_back(static_cast<int32_t>(blocks.size()));
    }
    tokens.resize(positions.size());
    batch.tokens = tokens;
    batch.positions = positions;
    batch.q_starts = q_starts;
    batch.kv_lengths = lengths;
    batch.groups = {{tokens, table_starts, blocks}};
  }
  TreeBatch(const TreeBatch&) = delete;
  TreeBatch& operator=(const TreeBatch&) = delete;

  std::vector<int32_t> tokens;
  std::vector<int32_t> positions;
  std::vector<int32_t> q_starts = {0};
  std::vector<int32_t> table_starts = {0};
  std::vector<int32_t> lengths;
  std::vector<int32_t> blocks;
  Batch batch;
};

}  // namespace octavo
