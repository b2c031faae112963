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

#include "backend/cpu/linear.h"

namespace octavo::cpu {

struct Kernels {
  const char* name;  // "scalar", "avx2", "avx512", "neon"
  void (*quantize_rows)(const QuantizeArgs& args);
  void (*linear)(const LinearArgs& args);
};

// The tables that were built in and that this machine can run, best first; never empty, since
// "scalar" runs everywhere.
const std::vector<const Kernels*>& available_kernels();

// The first of available_kernels().
const Kernels& best_kernels();

// The table with this name, or null when it was not built in or this machine cannot run it.
const Kernels* find_kernels(std::string_view name);

}  // namespace octavo::cpu
