// What the cache makes of numbers that it keeps, written plainly.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "base/dtype.h"
#include "base/float16.h"
#include "gguf/blocks.h"

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

// 32 numbers of which the Walsh-Hadamard transform is taken, times `scale`.
inline void rotate(float* x, float scale) {
  for (int i = 0; i < 32; ++i) x[i] *= scale;
  for (int width = 16; width >= 1; width /= 2) {
    for (int i = 0; i < 32; ++i) {
      if ((i & width) != 0) continue;
      const float a = x[i];
      const float b = x[i + width];
      x[i] = a + b;
      x[i + width] = a - b;
    }
  }
}

// 32 numbers to what is kept of them, which is rotated. Errors are added as 16 lanes are.
inline void round_to_iq4_nl(float* x) {
  rotate(x, 0.25F);
  float peak = 0.0F;
  for (int i = 0; i < 32; ++i) {
    const bool larger = std::abs(x[i]) > std::abs(peak);
    if (larger || (x[i] > 0 && x[i] == -peak)) peak = x[i];
  }
  std::array<float, 32> best = {};
  float least = std::numeric_limits<float>::infinity();
  for (int end = 95; end <= 159; end += 8) {
    const float scale = float_from_f16(f16_from_float(-peak / static_cast<float>(end)));
    if (scale == 0.0F) continue;
    std::array<float, 32> values;
    std::array<float, 16> errors = {};
    for (size_t i = 0; i < 32; ++i) {
      const float code = x[i] / scale;
      size_t step = 0;
      while (step < 15) {
        const auto middle = static_cast<float>(gguf::kIq4Values[step] + gguf::kIq4Values[step + 1]);
        if (!(middle / 2 < code)) break;
        ++step;
      }
      values[i] = static_cast<float>(gguf::kIq4Values[step]) * scale;
      const float error = x[i] - values[i];
      errors[i % 16] = std::fma(error, error, errors[i % 16]);
    }
    for (size_t width = 8; width >= 1; width /= 2) {
      for (size_t i = 0; i < width; ++i) errors[i] += errors[i + width];
    }
    if (!(errors[0] < least)) continue;
    least = errors[0];
    best = values;
  }
  std::copy(best.begin(), best.end(), x);
}

// Whole heads of K or V, those of IQ4_NL rotated.
inline void round_like_cache(DType type, std::vector<float>& values) {
  if (type == DType::q8_0 || type == DType::iq4_nl) {
    for (size_t i = 0; i < values.size(); i += 32) {
      type == DType::q8_0 ? round_to_q8_0(values.data() + i) : round_to_iq4_nl(values.data() + i);
    }
    return;
  }
  for (float& value : values) {
    if (type == DType::f16) value = float_from_f16(f16_from_float(value));
    if (type == DType::bf16) value = float_from_bf16(bf16_from_float(value));
  }
}

}  // namespace octavo
