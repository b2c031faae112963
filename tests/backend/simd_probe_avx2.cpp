#include "backend/cpu/simd_avx2.h"
// The instruction set's header comes first: the probe is written in its terms.
#include "backend/simd_probe_run.h"

namespace octavo::cpu::testing {

extern constinit const SimdProbe simd_probe_avx2 = {"avx2", avx2::probe};

}  // namespace octavo::cpu::testing
