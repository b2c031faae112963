#include "backend/cpu/simd_neon.h"
// The instruction set's header comes first: the kernels are written in its terms.
#include "backend/cpu/kernel_table.h"

namespace octavo::cpu {

extern constinit const Kernels kernels_neon = neon::kernel_table("neon");

}  // namespace octavo::cpu
