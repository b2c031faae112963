// The table of kernels of the instruction set that this translation unit is compiled for.
//
// Included once by each kernels_<set>.cpp, after the set's own header.
#pragma once

#include "backend/cpu/attention_kernels.h"
#include "backend/cpu/elementwise_kernels.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/kv_tiles.h"
#include "backend/cpu/linear_kernels.h"
#include "backend/cpu/norm_kernels.h"
#include "backend/cpu/quantize_kernels.h"
#include "backend/cpu/rope_kernels.h"

namespace octavo::cpu::OCTAVO_ISA {

constexpr Kernels kernel_table(const char* name) {
  return {
      .name = name,
      .quantize_rows = quantize_rows,
      .linear = linear,
      .attend_segment = attend_segment,
      .merge_attention = merge_attention,
      .finish_attention = finish_attention,
      .rms_norm_row = rms_norm_row,
      .add_in_place = add_in_place,
      .scale_in_place = scale_in_place,
      .silu_gate = silu_gate,
      .gelu_tanh_gate = gelu_tanh_gate,
      .soft_cap_in_place = soft_cap_in_place,
      .rotate_row = rotate_row,
      .store_row = store_row,
      .rotate_groups = rotate_groups,
  };
}

}  // namespace octavo::cpu::OCTAVO_ISA
