// Cosines and sines of a step's positions, and the rotating and storing of its rows.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/cpu_kv_store.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/scratch.h"
#include "base/thread_pool.h"

namespace octavo::cpu {

struct RopeAngles {
  const float* cosines = nullptr;  // [tokens, pairs], times the table's magnitude
  const float* sines = nullptr;    // [tokens, pairs]
  int32_t pairs = 0;
  const float* row_cosines(int64_t row) const { return cosines + row * pairs; }
  const float* row_sines(int64_t row) const { return sines + row * pairs; }
};

// The angles of the current step, computed once for each table that its layers use. A table is
// known by its address: it must stay where it is, unchanged, during the step.
class RopeCache {
 public:
  // Forgets everything; the scratch memory behind it is about to be reused.
  void begin_step() { entries_.clear(); }

  RopeAngles angles(const RopeTable& table, const Batch& batch, ThreadPool& pool,
                    ScratchArena& scratch);

 private:
  struct Entry {
    const RopeTable* table;
    RopeAngles angles;
  };
  std::vector<Entry> entries_;
};

struct StoreCall {
  Tensor q;  // [tokens, heads * head_dim]
  Tensor k;  // [tokens, kv_heads * head_dim]
  Tensor v;  // [tokens, kv_heads * head_dim]
  int32_t layer = 0;
  bool interleaved = false;
  const Batch& batch;
  CpuKvStore& store;
};

// Turns q and k in place and writes k and v into the slots of the batch.
void rotate_and_store(const StoreCall& call, const RopeAngles& angles, const Kernels& kernels,
                      ThreadPool& pool);

}  // namespace octavo::cpu
