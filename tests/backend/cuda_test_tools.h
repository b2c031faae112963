// What the tests of the CUDA backend's operations share.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <vector>

#include "backend/backend.h"

namespace octavo::cuda {

// Under a sanitizer a kernel takes a hundred times as long: with OCTAVO_TEST_EVERY=N in the
// environment, every Nth case of the large tables is taken. A prime meets every loop's every value.
inline bool is_taken() {
  static const char* const text = std::getenv("OCTAVO_TEST_EVERY");
  static const int64_t every = text == nullptr ? 1 : std::max<int64_t>(1, std::atoll(text));
  static int64_t cases = 0;
  return cases++ % every == 0;
}

inline std::unique_ptr<Weight> upload(Backend& backend, DType type, int64_t rows, int64_t columns,
                                      const void* data, WeightUse use) {
  WeightSource source;
  source.name = "weight";
  source.type = type;
  source.rows = rows;
  source.columns = columns;
  source.data = static_cast<const std::byte*>(data);
  return backend.upload(source, use, Split::none).value();
}

inline std::vector<int32_t> count_up(int64_t rows) {
  std::vector<int32_t> out(static_cast<size_t>(rows));
  std::iota(out.begin(), out.end(), 0);
  return out;
}

inline std::vector<float> read(Backend& backend, Tensor x) {
  std::vector<float> out(static_cast<size_t>(x.elements()));
  backend.read(x, out);
  return out;
}

// Values [rows, columns] as a tensor of the current step, whose tokens are 0, 1, 2 and so on.
inline Tensor bring(Backend& backend, const std::vector<float>& values, const Batch& batch) {
  const int64_t rows = batch.token_count();
  const auto columns = static_cast<int64_t>(values.size()) / rows;
  const auto table = upload(backend, DType::f32, rows, columns, values.data(), WeightUse::table);
  const Tensor out = backend.scratch(rows, columns);
  backend.embed(out, *table, 1.0F, batch);
  read(backend, out);  // the table ends here
  return out;
}

struct Sequence {
  int32_t length;  // with this step's rows
  int32_t rows;
};

// The rows [first, end) of some sequences as a step; owns what the batch's spans show.
struct AttentionStep {
  void add(const std::vector<int32_t>& table, int32_t block_size, int32_t first, int32_t end) {
    for (int32_t p = first; p < end; ++p) {
      positions.push_back(p);
      slots.push_back(table[static_cast<size_t>(p / block_size)] * block_size + p % block_size);
    }
    q_starts.push_back(static_cast<int32_t>(positions.size()));
    lengths.push_back(end);
    const int32_t needed = (end + block_size - 1) / block_size;
    ids.insert(ids.end(), table.begin(), table.begin() + needed);
    starts.push_back(static_cast<int32_t>(ids.size()));
  }
  Batch batch() {
    tokens = count_up(static_cast<int64_t>(positions.size()));
    Batch out;
    out.tokens = tokens;
    out.positions = positions;
    out.q_starts = q_starts;
    out.kv_lengths = lengths;
    out.groups = {{slots, starts, ids}};
    return out;
  }

  std::vector<int32_t> tokens, positions, slots, lengths, ids;
  std::vector<int32_t> q_starts = {0};
  std::vector<int32_t> starts = {0};
};

// Tables of scattered blocks, from 1 on.
inline std::vector<std::vector<int32_t>> make_tables(const std::vector<Sequence>& sequences,
                                                     int32_t block_size, int32_t& blocks) {
  std::vector<std::vector<int32_t>> tables;
  for (const Sequence& sequence : sequences) {
    tables.emplace_back();
    const int32_t count = (sequence.length + block_size - 1) / block_size;
    for (int32_t i = 0; i < count; ++i) tables.back().push_back(blocks++);
    std::reverse(tables.back().begin(), tables.back().end());
  }
  return tables;
}

}  // namespace octavo::cuda
