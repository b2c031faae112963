// The table of kernels of the instruction set that this translation unit is compiled for.
//
// Included once by each kernels_<set>.cpp, after the set's own header.
#pragma once

#include "backend/cpu/kernels.h"
#include "backend/cpu/linear_kernels.h"
#include "backend/cpu/quantize_kernels.h"

namespace octavo::cpu::OCTAVO_ISA {

constexpr Kernels kernel_table(const char* name) {
  return {
      .name = name,
      .quantize_rows = quantize_rows,
      .linear = linear,
  };
}

}  // namespace octavo::cpu::OCTAVO_ISA
