#include "backend/cpu/simd_scalar.h"
// The instruction set's header comes first: the kernels are written in its terms.
#include "backend/cpu/kernel_table.h"

namespace octavo::cpu {

extern constinit const Kernels kernels_scalar = scalar::kernel_table("scalar");

}  // namespace octavo::cpu
