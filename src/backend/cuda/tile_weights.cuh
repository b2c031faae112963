// What the kernels that expand quantised weights in registers share: a chunk of weights as f16 for
// a tensor core.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include "backend/cuda/weight_layout.h"

namespace octavo::cuda::tiles {

// Quantised weights are multiplied by 2^6 before they are rounded to f16, so that small scales keep
// their bits; the outputs by its inverse.
inline constexpr float kWeightScale = 64.0F;

__device__ inline uint32_t bits_of(__half2 pair) {
  return *reinterpret_cast<uint32_t*>(&pair);
}
__device__ inline __half2 half2_of(uint32_t bits) {
  return *reinterpret_cast<__half2*>(&bits);
}

// The weights of one chunk, ready for a tensor core: pair(step, p) are columns 4 * step + 2p and
// the next as f16, times kWeightScale.
template <DType type>
class ExpandedChunk {
 public:
  __device__ void expand(const RawChunk<type>& raw, bool valid) {
    Chunk chunk;
    decode_codes(raw, chunk);
    decode_scales(raw, chunk);
    for (int half = 0; half < 2; ++half) {
      scale_[half] = __float2half2_rn(valid ? chunk.scale[half] * kWeightScale : 0.0F);
      addend_[half] = __float2half2_rn(valid ? chunk.addend[half] * kWeightScale : 0.0F);
    }
    for (int j = 0; j < 8; ++j) words_[j] = kSigned ? chunk.words[j] ^ 0x80808080U : chunk.words[j];
  }

  // Four bytes 0x64, in a register: the instruction that wants them takes one constant only,
  // another one, so the compiler must not see what they are.
  __device__ static uint32_t lift() { return 0x64646464U + (blockDim.x >> 16); }

  // A byte under 0x64 is the f16 1024 + byte, exactly; so is what remains without the 1024.
  __device__ uint32_t pair(int step, int p, uint32_t lift) const {
    constexpr int kBias = 1024 + (kSigned ? 128 : kFormat.offset);
    const uint32_t lifted = __byte_perm(words_[step], lift, p == 0 ? 0x4140 : 0x4342);
    const __half2 code = __hsub2(half2_of(lifted), __float2half2_rn(static_cast<float>(kBias)));
    const int half = step / 4;
    if constexpr (has_addend(kFormat)) {
      return bits_of(__hfma2(code, scale_[half], addend_[half]));
    } else {
      return bits_of(__hmul2(code, scale_[half]));
    }
  }

 private:
  static constexpr Format kFormat = format_of(type);
  static constexpr bool kSigned = kFormat.lookup != Lookup::none || kFormat.code_bits == 8;

  uint32_t words_[8];
  __half2 scale_[2];
  __half2 addend_[2];
};

}  // namespace octavo::cuda::tiles
