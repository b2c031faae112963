#include "backend/cpu/simd_avx2.h"
// The instruction set's header comes first: the kernels are written in its terms.
#include "backend/cpu/kernel_table.h"

namespace octavo::cpu {

extern constinit const Kernels kernels_avx2 = avx2::kernel_table("avx2");

}  // namespace octavo::cpu
