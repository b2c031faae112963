// Attention of a step's query rows over the KV store of a device: arguments and launch.
//
// Once per step, for each KV group (and number of heads per key head) whose layers are run:
//   AttentionPlan plan = plan_attention(batch, shape);
//   plan.words go to device memory, plan.partial_floats floats of scratch memory are set apart (one
//   area serves all layers, one after the other).
// Then once per layer, after its keys and values are stored:
//   launch_attention({...}, stream);
// Everything that varies between steps with equal capacities is read from device memory, so that a
// launch can be replayed. The kernels write every row of `out`, rounded too where that is wanted,
// and no other memory but the scratch.
//
// Types f16 and bf16 with heads of 64, 96, 128 and 256 and whole groups of 16 keys in a block run
// on tensor cores: queries times scale, and weights, are rounded to the type of the store. All
// others are computed in floats by a general kernel, up to kMaxAttentionHeadDim.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "backend/cuda/attention_plan.h"
#include "backend/cuda/kernel_args.h"
#include "backend/cuda/rounded_rows.h"

namespace octavo::cuda {

inline constexpr int32_t kMaxAttentionHeadDim = 512;

struct AttentionArgs {
  float* out;           // [tokens, kv_heads * heads_per_kv_head * head_dim]
  const float* q;       // the same
  float* partials;      // [plan.partial_floats]; 16-byte aligned
  const int32_t* plan;  // plan.words; 16-byte aligned
  StepView step;
  TablesView tables;  // of the layer's KV group
  KvView kv;          // of the layer
  float scale;        // multiplies q·k
  float soft_cap;     // > 0: scores become cap * tanh(score / cap)
  int32_t window;     // 0: none
  int32_t heads_per_kv_head;
  int32_t block_capacity;  // of the plan
  int32_t merge_capacity;  // of the plan
  int32_t has_tiles;       // 0: the plan is of strips alone
  int32_t merges_all;      // 1: merges write all rows
  RoundedRows rounded;     // out once more, where merges_round()
  int64_t rows;
};

// Whether merges write all rows, and heads are whole chunks.
inline bool merges_round(const AttentionArgs& args) {
  return args.merges_all != 0 && args.kv.head_dim % kChunk == 0;
}

void launch_attention(const AttentionArgs& args, cudaStream_t stream);

// The parts of it.
bool has_tensor_attention(const KvView& kv);
void launch_tensor_attention(const AttentionArgs& args, cudaStream_t stream);
void launch_general_attention(const AttentionArgs& args, cudaStream_t stream);
void launch_attention_merge(const AttentionArgs& args, cudaStream_t stream);

}  // namespace octavo::cuda
