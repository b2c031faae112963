// Matrix products of one input with several weights: how the work is cut into tasks.
//
// The arithmetic is linear_kernels.h's, whose bits do not depend on the cut.
#pragma once

#include <span>

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/scratch.h"
#include "base/thread_pool.h"

namespace octavo::cpu {

// out = x * weight^T + bias for each projection. Rows of x are quantised once for all weights that
// are.
void run_projections(Tensor x, std::span<const Projection> projections, const Kernels& kernels,
                     ThreadPool& pool, ScratchArena& scratch);

}  // namespace octavo::cpu
