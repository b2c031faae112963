// Parallel loops over ranges, for operations whose single elements are too little work for a task.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/thread_pool.h"

namespace octavo::cpu {

// Elements of simple arithmetic that are worth handing to another thread (a microsecond or two).
inline constexpr int64_t kTaskElements = 4096;

// Calls body(first, last) for consecutive ranges of at most `grain` items that cover [0, count).
template <class Body>
void for_ranges(ThreadPool& pool, int64_t count, int64_t grain, Body&& body) {
  const int64_t ranges = (count + grain - 1) / grain;
  pool.parallel_for(static_cast<size_t>(ranges), [&](size_t range) {
    const int64_t first = static_cast<int64_t>(range) * grain;
    body(first, std::min(first + grain, count));
  });
}

// The same over the rows of a matrix.
template <class Body>
void for_rows(ThreadPool& pool, int64_t rows, int64_t columns, Body&& body) {
  for_ranges(pool, rows, std::max<int64_t>(1, kTaskElements / std::max<int64_t>(columns, 1)), body);
}

}  // namespace octavo::cpu
