#include "backend/cpu/simd_avx512.h"
// The instruction set's header comes first: the kernels are written in its terms.
#include "backend/cpu/kernel_table.h"

namespace octavo::cpu {

extern constinit const Kernels kernels_avx512 = avx512::kernel_table("avx512");

}  // namespace octavo::cpu
