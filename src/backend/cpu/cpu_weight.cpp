#include "backend/cpu/cpu_weight.h"

#include <utility>

#include "backend/checks.h"
#include "backend/cpu/parallel.h"
#include "base/check.h"
#include "base/error.h"
#include "gguf/dequantize.h"

namespace octavo::cpu {
namespace {

// Groups of a matrix that one task packs.
constexpr int64_t kGroupsPerTask = 4;

}  // namespace

Result<std::unique_ptr<CpuWeight>> CpuWeight::create(const WeightSource& source, WeightUse use,
                                                     ThreadPool& pool) {
  OCTAVO_TRY(check_source(source, use));
  std::unique_ptr<CpuWeight> weight(new CpuWeight(source));
  const auto columns = static_cast<size_t>(source.columns);
  switch (use) {
    case WeightUse::table:
      weight->table_ = source.data;
      break;
    case WeightUse::vector:
      weight->values_.resize(columns);
      gguf::dequantize_row(source.type, source.data, weight->values_.data(), columns);
      break;
    case WeightUse::matrix: {
      Result<PackedWeight> packed =
          PackedWeight::create(source.type, static_cast<size_t>(source.rows), columns);
      if (!packed) {
        return Error{packed.error().kind, fmt::format("tensor '{}': {}", printable(source.name),
                                                      packed.error().message)};
      }
      weight->packed_ = std::move(packed).value();
      PackedWeight& matrix = *weight->packed_;
      for_ranges(pool, static_cast<int64_t>(matrix.groups()), kGroupsPerTask,
                 [&](int64_t first, int64_t last) {
                   for (int64_t group = first; group < last; ++group) {
                     matrix.pack_group(static_cast<size_t>(group), source.data);
                   }
                 });
      break;
    }
  }
  return weight;
}

size_t CpuWeight::bytes() const {
  return packed_.has_value() ? packed_->bytes() : values_.size() * sizeof(float);
}

const PackedView& CpuWeight::matrix() const {
  OCTAVO_CHECK(packed_.has_value(), "the weight was not uploaded as a matrix");
  return packed_->view();
}

const float* CpuWeight::vector() const {
  OCTAVO_CHECK(!values_.empty(), "the weight was not uploaded as a vector");
  return values_.data();
}

const std::byte* CpuWeight::table_row(int64_t row) const {
  OCTAVO_CHECK(table_ != nullptr, "the weight was not uploaded as a table");
  OCTAVO_CHECK(row >= 0 && row < rows(), "row {} of {}", row, rows());
  return table_ + row * static_cast<int64_t>(row_bytes(type(), static_cast<size_t>(columns())));
}

}  // namespace octavo::cpu
