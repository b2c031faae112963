#include "backend/simd_probe.h"

#include "backend/cpu/kernels.h"

namespace octavo::cpu::testing {

extern const SimdProbe simd_probe_scalar;
#if defined(__x86_64__)
extern const SimdProbe simd_probe_avx2;
extern const SimdProbe simd_probe_avx512;
#elif defined(__aarch64__)
extern const SimdProbe simd_probe_neon;
#endif

std::vector<SimdProbe> available_probes() {
  std::vector<SimdProbe> out = {simd_probe_scalar};
#if defined(__x86_64__)
  for (const SimdProbe& probe : {simd_probe_avx2, simd_probe_avx512}) {
    if (find_kernels(probe.name) != nullptr) out.push_back(probe);
  }
#elif defined(__aarch64__)
  if (find_kernels("neon") != nullptr) out.push_back(simd_probe_neon);
#endif
  return out;
}

}  // namespace octavo::cpu::testing
