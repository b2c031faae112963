// What the cache makes of numbers that it keeps, written plainly.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/dtype.h"
#include "base/float16.h"

namespace octavo {

// 32 numbers that share a scale.
inline void round_to_q8_0(float* x) {
  float greatest = 0.0F;
  for (int i = 0; i < 32; ++i) greatest = std::max(greatest, std::abs(x[i]));
  const float scale = float_from_f16(f16_from_float(greatest / 127.0F));
  for (int i = 0; i < 32; ++i) {
    const float code = scale > 0 ? std::nearbyint(x[i] / scale) : 0.0F;
    x[i] = scale * std::clamp(code, -127.0F, 127.0F);
  }
}

// Whole heads of K or V.
inline void round_like_cache(DType type, std::vector<float>& values) {
  if (type == DType::q8_0) {
    for (size_t i = 0; i < values.size(); i += 32) round_to_q8_0(values.data() + i);
    return;
  }
  for (float& value : values) {
    if (type == DType::f16) value = float_from_f16(f16_from_float(value));
    if (type == DType::bf16) value = float_from_bf16(bf16_from_float(value));
  }
}

}  // namespace octavo
