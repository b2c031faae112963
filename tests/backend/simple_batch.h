// A small batch and a view on a vector, for the tests of single operations.
#pragma once

#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "backend/batch.h"
#include "backend/tensor.h"

namespace octavo {

inline Tensor view(std::vector<float>& values, int64_t columns) {
  return {values.data(), static_cast<int64_t>(values.size()) / columns, columns};
}

// One sequence per row, each at its own position; owns what the batch's spans show.
struct SimpleBatch {
  explicit SimpleBatch(std::vector<int32_t> input, std::vector<int32_t> at = {})
      : tokens(std::move(input)), positions(std::move(at)), starts(tokens.size() + 1) {
    if (positions.empty()) positions.resize(tokens.size());
    std::iota(starts.begin(), starts.end(), 0);
    for (const int32_t position : positions) lengths.push_back(position + 1);
    batch.tokens = tokens;
    batch.positions = positions;
    batch.q_starts = starts;
    batch.kv_lengths = lengths;
  }
  SimpleBatch(const SimpleBatch&) = delete;
  SimpleBatch& operator=(const SimpleBatch&) = delete;

  std::vector<int32_t> tokens;
  std::vector<int32_t> positions;
  std::vector<int32_t> starts;
  std::vector<int32_t> lengths;
  Batch batch;
};

}  // namespace octavo
