// Attention of a step's query rows over the KV store.
//
// The arithmetic and its order are attention_kernels.h's, the tasks attention_plan.h's. A task
// folds its segments in ascending order. Where one task would keep other threads waiting, its
// segments are computed apart and merged afterwards, in the same order, which gives the same bits.
#pragma once

#include <cstdint>

#include "backend/backend.h"
#include "backend/cpu/attention_plan.h"
#include "backend/cpu/cpu_kv_store.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/scratch.h"
#include "base/thread_pool.h"

namespace octavo::cpu {

struct AttentionCall {
  Tensor out;  // [tokens, heads * head_dim]
  Tensor q;    // [tokens, heads * head_dim]
  int32_t layer = 0;
  AttentionParams params;
  const Batch& batch;
  const CpuKvStore& store;
};

void run_attention(const AttentionCall& given, AttentionPlans& plans, const Kernels& kernels,
                   ThreadPool& pool, ScratchArena& scratch);

}  // namespace octavo::cpu
