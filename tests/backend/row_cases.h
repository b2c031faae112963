// Random inputs for the kernels that work on rows (norm, elementwise, rope) and for attention over
// stored keys, run through one table of kernels. Deterministic for a seed, on every machine: no
// expression draws two numbers, since their order would be the compiler's.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "backend/cpu/kernels.h"
#include "backend/kv_store.h"
#include "backend/linear_cases.h"

namespace octavo::cpu::testing {

struct RowCase {
  int64_t columns;  // even
};

// Sizes around the edges of the vectors of 16.
inline std::vector<RowCase> row_cases() {
  return {{2}, {14}, {16}, {18}, {30}, {32}, {64}, {100}, {576}};
}

inline std::string name_of(const RowCase& c) {
  return fmt::format("rows of {}", c.columns);
}

inline std::vector<float> random_row(size_t columns, float magnitude, std::mt19937_64& random) {
  std::vector<float> row(columns);
  for (float& value : row) value = magnitude * random_float(random);
  return row;
}

// What every kernel for rows makes of the same row, one after the other.
inline std::vector<float> run(const Kernels& kernels, const RowCase& c) {
  std::mt19937_64 random(17);
  const auto columns = static_cast<size_t>(c.columns);
  const std::vector<float> x = random_row(columns, 8.0f, random);
  const std::vector<float> y = random_row(columns, 8.0f, random);
  std::vector<float> all;
  const auto collect = [&](auto&& kernel) {
    std::vector<float> row = x;
    kernel(row.data());
    all.insert(all.end(), row.begin(), row.end());
  };
  collect([&](float* row) { kernels.rms_norm_row(row, row, y.data(), 1e-5f, c.columns); });
  collect([&](float* row) { kernels.add_in_place(row, y.data(), c.columns); });
  collect([&](float* row) { kernels.scale_in_place(row, 1.7f, c.columns); });
  collect([&](float* row) { kernels.silu_gate(row, y.data(), c.columns); });
  collect([&](float* row) { kernels.gelu_tanh_gate(row, y.data(), c.columns); });
  collect([&](float* row) { kernels.soft_cap_in_place(row, 5.0f, c.columns); });
  // Any numbers do for cosines and sines.
  const auto columns_of_head = static_cast<int32_t>(c.columns);
  for (const bool interleaved : {false, true}) {
    collect([&](float* row) {
      kernels.rotate_row(row, 1, columns_of_head, y.data(), y.data() + columns / 2,
                         columns_of_head / 2, interleaved);
    });
  }
  return all;
}

struct AttentionCase {
  DType type;  // of the stored keys and values
  int32_t head_dim;
  int32_t pairs;
  int32_t keys;  // stored; pair p sees all but the last p
  int32_t window;
  float soft_cap;
};

inline std::vector<AttentionCase> attention_cases() {
  std::vector<AttentionCase> cases;
  for (const DType type : kKvTypes) {
    cases.push_back({type, 64, 1, 300, 0, 0.0f});
    cases.push_back({type, 64, 3, 530, 0, 0.0f});
    cases.push_back({type, 96, 16, 77, 0, 30.0f});
    cases.push_back({type, 128, 7, 520, 100, 0.0f});
    if (info(type).block_elements > 1) continue;
    cases.push_back({type, 80, 16, 77, 0, 30.0f});
    cases.push_back({type, 20, 5, 40, 9, 2.0f});
  }
  return cases;
}

inline std::string name_of(const AttentionCase& c) {
  return fmt::format("attention {}, dim {}, {} pairs, {} keys, window {}, cap {}",
                     info(c.type).name, c.head_dim, c.pairs, c.keys, c.window, c.soft_cap);
}

// K and V of one head as the cache holds them, in tiles of 16 keys: K of all, then V of all.
struct StoredTiles {
  int64_t tile_bytes = 0;
  int64_t value_offset = 0;
  std::vector<std::byte> memory;
};

inline StoredTiles store_tiles(const Kernels& kernels, const AttentionCase& c,
                               std::mt19937_64& random) {
  const auto head_dim = static_cast<size_t>(c.head_dim);
  const auto row = static_cast<int64_t>(row_bytes(c.type, head_dim));
  const int64_t tiles = (int64_t{c.keys} + 15) / 16;
  StoredTiles stored;
  stored.tile_bytes = 16 * row;
  stored.value_offset = tiles * stored.tile_bytes;
  stored.memory.resize(static_cast<size_t>(2 * stored.value_offset));
  for (int32_t i = 0; i < c.keys; ++i) {
    const std::vector<float> key = random_row(head_dim, 2.0f, random);
    const std::vector<float> value = random_row(head_dim, 2.0f, random);
    kernels.store_row({.key = key.data(),
                       .value = value.data(),
                       .key_tile = stored.memory.data() + i / 16 * stored.tile_bytes,
                       .value_row = stored.memory.data() + stored.value_offset + i * row,
                       .head_bytes = 0,
                       .lane = i % 16,
                       .kv_heads = 1,
                       .head_dim = c.head_dim,
                       .type = c.type});
  }
  return stored;
}

// The attention of all pairs over all segments: [pairs, head_dim].
inline std::vector<float> run(const Kernels& kernels, const AttentionCase& c) {
  std::mt19937_64 random(19);
  const StoredTiles stored = store_tiles(kernels, c, random);
  const auto pairs = static_cast<size_t>(c.pairs);
  const auto head_dim = static_cast<size_t>(c.head_dim);
  const std::vector<float> queries = random_row(pairs * head_dim, 2.0f, random);
  const size_t stride = (head_dim + 15) / 16 * 16;
  std::vector<float> values[2] = {std::vector<float>(pairs * stride),
                                  std::vector<float>(pairs * stride)};
  float max[2][kAttentionPairs];
  float sum[2][kAttentionPairs];
  const auto state = [&](int i) {
    return AttentionState{max[i], sum[i], values[i].data(), static_cast<int64_t>(stride)};
  };
  for (int32_t base = 0; base < c.keys; base += kSegmentKeys) {
    AttentionSegment segment = {};
    segment.pairs = c.pairs;
    segment.head_dim = c.head_dim;
    segment.scale = 0.2f;
    segment.soft_cap = c.soft_cap;
    segment.type = c.type;
    for (int32_t p = 0; p < c.pairs; ++p) {
      const int32_t end = c.keys - p;
      segment.queries[p] = queries.data() + static_cast<size_t>(p) * head_dim;
      segment.first[p] = c.window == 0 ? 0 : std::clamp(end - c.window - base, 0, kSegmentKeys);
      segment.last[p] = std::clamp(end - base, 0, kSegmentKeys);
    }
    // Everybody reads every tile, in which some see nothing.
    const int32_t tiles = std::min(kSegmentTiles, (c.keys - base + 15) / 16);
    std::vector<int64_t> offsets;
    for (int32_t tile = 0; tile < tiles; ++tile) {
      offsets.push_back((base / 16 + tile) * stored.tile_bytes);
    }
    const TileRun run = {0, c.pairs, 0, tiles};
    segment.runs = &run;
    segment.run_count = 1;
    segment.tile_offsets = offsets.data();
    segment.tile_count = offsets.size();
    segment.memory = stored.memory.data();
    segment.value_offset = stored.value_offset;
    kernels.attend_segment(segment, state(base == 0 ? 0 : 1));
    if (base > 0) kernels.merge_attention(state(0), state(1), c.pairs);
  }
  std::vector<float> out(pairs * head_dim);
  float* rows[kAttentionPairs] = {};
  for (size_t p = 0; p < pairs; ++p) rows[p] = out.data() + p * head_dim;
  kernels.finish_attention(state(0), c.pairs, c.head_dim, rows);
  return out;
}

}  // namespace octavo::cpu::testing
