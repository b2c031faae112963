#include "backend/checks.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "base/error.h"

namespace octavo {
namespace {

// Far above any tensor, far below where products of sizes overflow.
constexpr int64_t kMaxElements = int64_t{1} << 40;

void check_starts(std::span<const int32_t> starts, size_t count, size_t total) {
  OCTAVO_CHECK(starts.size() == count + 1, "{} starts of {} sequences", starts.size(), count);
  OCTAVO_CHECK(starts.front() == 0 && starts.back() == static_cast<int64_t>(total),
               "starts {} to {} of {}", starts.front(), starts.back(), total);
  OCTAVO_CHECK(std::is_sorted(starts.begin(), starts.end()));
}

}  // namespace

void check_batch(const Batch& batch) {
  OCTAVO_CHECK(batch.axes == 1, "{} position axes", batch.axes);
  OCTAVO_CHECK(batch.causal, "bidirectional attention");
  OCTAVO_CHECK(batch.adapters.empty(), "adapters");
  OCTAVO_CHECK(batch.embedded_rows.empty(), "rows with a given embedding");
  OCTAVO_CHECK(batch.tokens.size() <= std::numeric_limits<int32_t>::max());
  OCTAVO_CHECK(batch.positions.size() == batch.tokens.size());
  check_starts(batch.q_starts, batch.kv_lengths.size(), batch.tokens.size());
  for (size_t sequence = 0; sequence < batch.kv_lengths.size(); ++sequence) {
    const auto first = static_cast<size_t>(batch.q_starts[sequence]);
    const auto last = static_cast<size_t>(batch.q_starts[sequence + 1]);
    for (size_t row = first; row < last; ++row) {
      const int64_t expected =
          int64_t{batch.kv_lengths[sequence]} - static_cast<int64_t>(last - row);
      OCTAVO_CHECK(batch.positions[row] == expected && expected >= 0,
                   "row {} of sequence {} is at position {}, not {}", row, sequence,
                   batch.positions[row], expected);
    }
  }
  for (const GroupTables& group : batch.groups) {
    OCTAVO_CHECK(group.slots.size() == batch.tokens.size());
    check_starts(group.table_starts, batch.kv_lengths.size(), group.blocks.size());
  }
  OCTAVO_CHECK(
      batch.hidden_rows >= 0 && static_cast<size_t>(batch.hidden_rows) <= batch.output_rows.size(),
      "{} hidden states of {} output rows", batch.hidden_rows, batch.output_rows.size());
  for (const int32_t row : batch.output_rows) {
    OCTAVO_CHECK(row >= 0 && row < batch.token_count(), "output row {}", row);
  }
}

void check_same_shape(const Tensor& a, const Tensor& b) {
  OCTAVO_CHECK(a.rows == b.rows && a.columns == b.columns, "[{}, {}] and [{}, {}]", a.rows,
               a.columns, b.rows, b.columns);
}

Result<void> check_source(const WeightSource& source, WeightUse use) {
  const DTypeInfo& type = info(source.type);
  if (source.rows < 1 || source.columns < 1 || source.rows > kMaxElements / source.columns) {
    return invalid_input("tensor '{}': [{}, {}] is not a possible shape", printable(source.name),
                         source.columns, source.rows);
  }
  if (source.columns % type.block_elements != 0) {
    return invalid_input("tensor '{}': rows of {} values are not whole {} blocks of {}",
                         printable(source.name), source.columns, type.name, type.block_elements);
  }
  if (use == WeightUse::vector && source.rows != 1) {
    return invalid_input("tensor '{}': [{}, {}] is not a vector", printable(source.name),
                         source.columns, source.rows);
  }
  return {};
}

}  // namespace octavo
