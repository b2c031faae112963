#include "backend/cpu/projections.h"

#include <algorithm>
#include <vector>

#include "backend/cpu/cpu_weight.h"
#include "backend/cpu/parallel.h"
#include "base/check.h"

namespace octavo::cpu {
namespace {

// Tasks per thread: enough that no thread waits long for the last one.
constexpr size_t kTasksPerThread = 4;
// Multiplications that are worth handing to another thread (about a microsecond).
constexpr size_t kTaskProducts = 32768;

// Some groups of output rows of one projection.
struct Task {
  const Projection* projection;
  size_t group_begin;
  size_t group_end;
};

size_t groups_of(const Projection& projection) {
  return (static_cast<size_t>(projection.weight->rows()) + kGroupRows - 1) / kGroupRows;
}

std::vector<Task> cut(const Tensor& x, std::span<const Projection> projections, size_t threads) {
  size_t total = 0;
  for (const Projection& projection : projections) total += groups_of(projection);
  const size_t group_products = kGroupRows * static_cast<size_t>(x.columns * x.rows);
  const size_t enough = (kTaskProducts + group_products - 1) / group_products;
  const size_t share = (total + threads * kTasksPerThread - 1) / (threads * kTasksPerThread);
  const size_t step = std::max(enough, share);
  std::vector<Task> tasks;
  for (const Projection& projection : projections) {
    const size_t groups = groups_of(projection);
    // Tasks of one projection are about equal, so that none is a small rest.
    const size_t count = std::max<size_t>(1, (groups + step / 2) / step);
    for (size_t i = 0; i < count; ++i) {
      tasks.push_back({&projection, groups * i / count, groups * (i + 1) / count});
    }
  }
  return tasks;
}

void check_projection(const Tensor& x, const Projection& projection) {
  const Weight& weight = *projection.weight;
  OCTAVO_CHECK(projection.expert_of_row.empty(), "experts");
  OCTAVO_CHECK(weight.columns() == x.columns, "rows of {} times a weight of {} columns", x.columns,
               weight.columns());
  OCTAVO_CHECK(projection.out.rows == x.rows && projection.out.columns == weight.rows(),
               "[{}, {}] for {} rows of {} outputs", projection.out.rows, projection.out.columns,
               x.rows, weight.rows());
  OCTAVO_CHECK(projection.bias == nullptr ||
               (projection.bias->rows() == 1 && projection.bias->columns() == weight.rows()));
}

void add_bias(const Task& task, const float* bias, const Kernels& kernels) {
  const Tensor& out = task.projection->out;
  const auto first = static_cast<int64_t>(task.group_begin * kGroupRows);
  const int64_t last = std::min(static_cast<int64_t>(task.group_end * kGroupRows), out.columns);
  for (int64_t row = 0; row < out.rows; ++row) {
    kernels.add_in_place(out.row(row) + first, bias + first, last - first);
  }
}

}  // namespace

void run_projections(Tensor x, std::span<const Projection> projections, const Kernels& kernels,
                     ThreadPool& pool, ScratchArena& scratch) {
  bool any_quantized = false;
  for (const Projection& projection : projections) {
    check_projection(x, projection);
    any_quantized |= takes_quantized_activations(projection.weight->type());
  }
  if (x.rows == 0) return;

  const ScratchScope scope(scratch);
  const auto columns = static_cast<size_t>(x.columns);
  const size_t chunks_per_row = columns / kChunk;
  ActivationChunk* chunks = nullptr;
  if (any_quantized) {
    chunks = scratch.take_array<ActivationChunk>(static_cast<size_t>(x.rows) * chunks_per_row);
    for_rows(pool, x.rows, x.columns, [&](int64_t first, int64_t last) {
      kernels.quantize_rows({.x = x.data,
                             .x_stride = columns,
                             .columns = columns,
                             .out = chunks,
                             .row_begin = static_cast<size_t>(first),
                             .row_end = static_cast<size_t>(last)});
    });
  }

  const std::vector<Task> tasks = cut(x, projections, static_cast<size_t>(pool.size()));
  pool.parallel_for(tasks.size(), [&](size_t i) {
    const Task& task = tasks[i];
    const Projection& projection = *task.projection;
    const PackedView& weight = static_cast<const CpuWeight&>(*projection.weight).matrix();
    const bool quantized = takes_quantized_activations(weight.type);
    kernels.linear({.weight = weight,
                    .group_begin = task.group_begin,
                    .group_end = task.group_end,
                    .x = quantized ? nullptr : x.data,
                    .chunks = quantized ? chunks : nullptr,
                    .x_stride = quantized ? chunks_per_row : columns,
                    .rows = static_cast<size_t>(x.rows),
                    .out = projection.out.data,
                    .out_stride = static_cast<size_t>(projection.out.columns)});
    if (projection.bias != nullptr) {
      add_bias(task, static_cast<const CpuWeight&>(*projection.bias).vector(), kernels);
    }
  });
}

}  // namespace octavo::cpu
