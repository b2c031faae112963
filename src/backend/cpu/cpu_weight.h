// A weight as the CPU backend holds it: a packed matrix, a table read from the file, or floats.
//
// Owns the packed matrix or the floats; a table stays in the mapped file, which outlives it.
// Immutable once made, so safe to share between threads.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/packed_weight.h"
#include "base/thread_pool.h"

namespace octavo::cpu {

class CpuWeight final : public Weight {
 public:
  // Errors name the tensor: a shape or type that does not fit the use.
  static Result<std::unique_ptr<CpuWeight>> create(const WeightSource& source, WeightUse use,
                                                   ThreadPool& pool);

  size_t bytes() const override;

  const PackedView& matrix() const;               // of a matrix
  const float* vector() const;                    // [columns] of a vector
  const std::byte* table_row(int64_t row) const;  // of a table: row_bytes(type, columns) bytes

 private:
  explicit CpuWeight(const WeightSource& source) : Weight(source, Split::none) {}

  std::optional<PackedWeight> packed_;
  std::vector<float> values_;
  const std::byte* table_ = nullptr;
};

}  // namespace octavo::cpu
