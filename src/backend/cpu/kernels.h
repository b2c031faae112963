// The CPU kernels: one table of functions per instruction set, chosen once at start.
//
// Every table computes the same bits (see simd.h), so the choice changes speed and nothing else.
// The functions are stateless: safe from any thread as long as the outputs do not overlap.
//
// To add a kernel: write it in a header of kernels in terms of simd.h, declare its arguments here,
// add a member to Kernels and to the table in kernel_table.h.
#pragma once

#include <string_view>
#include <vector>

#include "backend/cpu/kernel_args.h"
#include "backend/cpu/linear.h"

namespace octavo::cpu {

struct Kernels {
  const char* name;  // "scalar", "avx2", "avx512", "neon"
  void (*quantize_rows)(const QuantizeArgs& args);
  void (*linear)(const LinearArgs& args);
  // attention_kernels.h
  void (*attend_segment)(const AttentionSegment& segment, const AttentionState& out);
  void (*merge_attention)(const AttentionState& into, const AttentionState& next, int32_t pairs);
  void (*finish_attention)(const AttentionState& state, int32_t pairs, int32_t head_dim,
                           float* const* out);
  // norm_kernels.h
  void (*rms_norm_row)(float* out, const float* x, const float* weight, float epsilon,
                       int64_t columns);
  // elementwise_kernels.h
  void (*add_in_place)(float* x, const float* y, int64_t count);
  void (*scale_in_place)(float* x, float factor, int64_t count);
  void (*silu_gate)(float* gate, const float* up, int64_t count);
  void (*gelu_tanh_gate)(float* gate, const float* up, int64_t count);
  void (*soft_cap_in_place)(float* x, float cap, int64_t count);
  // rope_kernels.h
  void (*rotate_row)(float* row, int32_t heads, int32_t head_dim, const float* cosines,
                     const float* sines, int32_t pairs, bool interleaved);
  // kv_tiles.h
  void (*store_row)(const StoredRow& row);
  void (*rotate_groups)(float* out, const float* x, int64_t count, float scale);
};

// The tables that were built in and that this machine can run, best first; never empty, since
// "scalar" runs everywhere.
const std::vector<const Kernels*>& available_kernels();

// The first of available_kernels().
const Kernels& best_kernels();

// The table with this name, or null when it was not built in or this machine cannot run it.
const Kernels* find_kernels(std::string_view name);

}  // namespace octavo::cpu
