// Rotary position embedding of one row, and the writing of K and V into the cache, for the
// instruction set of the translation unit.
#pragma once

#include <cstdint>
#include <cstring>

#include "backend/cpu/kernel_args.h"
#include "backend/cpu/simd.h"

namespace octavo::cpu::OCTAVO_ISA {

// Turns pair i of every head by the angle whose cosine and sine are given; the dimensions of a head
// beyond 2 * pairs stay as they are.
inline void rotate_row(float* row, int32_t heads, int32_t head_dim, const float* cosines,
                       const float* sines, int32_t pairs, bool interleaved) {
  for (int32_t head = 0; head < heads; ++head) {
    float* x = row + static_cast<int64_t>(head) * head_dim;
    if (interleaved) {
      for (int32_t i = 0; i < pairs; ++i) {
        const float a = x[2 * i];
        const float b = x[2 * i + 1];
        x[2 * i] = a * cosines[i] - b * sines[i];
        x[2 * i + 1] = b * cosines[i] + a * sines[i];
      }
      continue;
    }
    for (int32_t i = 0; i < pairs; i += 16) {
      const int lanes = pairs - i < 16 ? pairs - i : 16;
      const F32x16 a = load_partial(x + i, lanes);
      const F32x16 b = load_partial(x + pairs + i, lanes);
      const F32x16 cosine = load_partial(cosines + i, lanes);
      const F32x16 sine = load_partial(sines + i, lanes);
      store_partial(x + i, sub(mul(a, cosine), mul(b, sine)), lanes);
      store_partial(x + pairs + i, add(mul(b, cosine), mul(a, sine)), lanes);
    }
  }
}

// K goes to one lane of a transposed tile (elements 16 apart), V to a row.
inline void store_head_f16(const float* key, const float* value, int32_t head_dim,
                           uint16_t* key_slot, uint16_t* value_slot) {
  for (int32_t d = 0; d < head_dim; d += 16) {
    const int lanes = head_dim - d < 16 ? head_dim - d : 16;
    uint16_t rounded[16];
    store_f16(rounded, load_partial(key + d, lanes));
    for (int i = 0; i < lanes; ++i) key_slot[16 * (d + i)] = rounded[i];
    store_f16(rounded, load_partial(value + d, lanes));
    std::memcpy(value_slot + d, rounded, static_cast<size_t>(lanes) * sizeof(uint16_t));
  }
}

inline void store_row(const StoredRow& row) {
  for (int32_t head = 0; head < row.kv_heads; ++head) {
    const float* key = row.key + static_cast<int64_t>(head) * row.head_dim;
    const float* value = row.value + static_cast<int64_t>(head) * row.head_dim;
    char* key_slot = static_cast<char*>(row.key_slot) + head * row.head_bytes;
    char* value_slot = static_cast<char*>(row.value_slot) + head * row.head_bytes;
    if (row.half) {
      store_head_f16(key, value, row.head_dim, reinterpret_cast<uint16_t*>(key_slot),
                     reinterpret_cast<uint16_t*>(value_slot));
      continue;
    }
    auto* lane = reinterpret_cast<float*>(key_slot);
    for (int32_t d = 0; d < row.head_dim; ++d) lane[16 * d] = key[d];
    std::memcpy(value_slot, value, static_cast<size_t>(row.head_dim) * sizeof(float));
  }
}

}  // namespace octavo::cpu::OCTAVO_ISA
