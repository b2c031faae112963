// A run with the memory in blocks: the project's own scheduler and KV cache, driven step by step by
// requests whose tokens are made up.
//
// Tokens matter only where they are equal. Text that a trace names by ids is equal where the ids
// are; everything else, all that is generated included, is different from everything else.
#pragma once

#include <cstdint>

#include "simulate/machine.h"
#include "simulate/measurement.h"
#include "simulate/workload.h"

namespace octavo::simulate {

struct Paging {
  int32_t block_size = 16;
  bool prefix_cache = true;
  int32_t outputs = 1;  // of each request: parallel samples of one prompt
  // > 0: each request is a beam search of this width instead. After each step every beam of the
  // next one goes on from one of this step's, drawn with equal chances and independently; those
  // that nobody goes on from are over. All reach the request's output length.
  int32_t beams = 0;
  uint64_t seed = 0;  // of that draw
};

Measurement run_paged(const Machine& machine, const Workload& workload, const Paging& paging);

}  // namespace octavo::simulate
