#include "backend/cpu/simd_avx512.h"
// The instruction set's header comes first: the probe is written in its terms.
#include "backend/simd_probe_run.h"

namespace octavo::cpu::testing {

extern constinit const SimdProbe simd_probe_avx512 = {"avx512", avx512::probe};

}  // namespace octavo::cpu::testing
