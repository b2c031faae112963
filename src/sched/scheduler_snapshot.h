// SchedulerSnapshot: who holds the KV cache at one moment, for people. A copy that refers to
// nothing; Scheduler::snapshot() makes it.
#pragma once

#include <cstdint>
#include <vector>

#include "kv/kv_snapshot.h"
#include "sched/sequence.h"

namespace octavo {

struct SequenceSnapshot {
  SequenceId sequence = -1;
  RequestId request = 0;
  int32_t output_index = 0;
  int32_t prompt_tokens = 0;
  int32_t generated_tokens = 0;
  int32_t computed_tokens = 0;  // those whose K and V are in the cache, once the planned steps ran
};

struct SchedulerSnapshot {
  KvSnapshot kv;
  std::vector<SequenceSnapshot> sequences;  // that run; the owners in `kv` are indices into it
};

}  // namespace octavo
