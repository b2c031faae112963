#include "gguf/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/float16.h"
#include "gguf/blocks.h"

namespace octavo::gguf {
namespace {

float inverse(float d) {
  return d == 0.0f ? 0.0f : 1.0f / d;
}

// Packs 32 four-bit numbers as "nibbles in halves" (gguf/blocks.h).
template <class Rounded>
void pack_nibbles(uint8_t* qs, Rounded rounded) {
  for (size_t j = 0; j < 16; ++j) {
    qs[j] = static_cast<uint8_t>(rounded(j) | rounded(j + 16) << 4);
  }
}

int clamped_nibble(float value) {
  return std::min(static_cast<int>(value), 15);
}

void quantize_block(const float* x, uint16_t& half) {
  half = f16_from_float(*x);
}

struct Bf16 {
  uint16_t bits;
};
void quantize_block(const float* x, Bf16& value) {
  value.bits = bf16_from_float(*x);
}

void quantize_block(const float* x, float& value) {
  value = *x;
}

void quantize_block(const float* x, BlockQ4_0& block) {
  // The value of the largest magnitude becomes -8 exactly.
  const float extreme =
      *std::max_element(x, x + 32, [](float a, float b) { return std::abs(a) < std::abs(b); });
  const float d = extreme / -8.0f;
  const float scale = inverse(d);
  block.d = f16_from_float(d);
  pack_nibbles(block.qs, [&](size_t i) { return clamped_nibble(x[i] * scale + 8.5f); });
}

void quantize_block(const float* x, BlockQ4_1& block) {
  const float min = *std::min_element(x, x + 32);
  const float d = (*std::max_element(x, x + 32) - min) / 15.0f;
  const float scale = inverse(d);
  block.d = f16_from_float(d);
  block.m = f16_from_float(min);
  pack_nibbles(block.qs, [&](size_t i) { return clamped_nibble((x[i] - min) * scale + 0.5f); });
}

void quantize_block(const float* x, BlockQ8_0& block) {
  float largest = 0.0f;
  for (size_t i = 0; i < 32; ++i) largest = std::max(largest, std::abs(x[i]));
  const float d = largest / 127.0f;
  const float scale = inverse(d);
  block.d = f16_from_float(d);
  // std::round takes ties away from zero, as the format's reference does.
  for (size_t i = 0; i < 32; ++i) block.qs[i] = static_cast<int8_t>(std::round(x[i] * scale));
}

template <class Block>
std::vector<std::byte> quantize_blocks(const std::vector<float>& values, size_t block_elements) {
  std::vector<std::byte> out(values.size() / block_elements * sizeof(Block));
  for (size_t i = 0; i < values.size() / block_elements; ++i) {
    Block block;
    quantize_block(values.data() + i * block_elements, block);
    std::memcpy(out.data() + i * sizeof(Block), &block, sizeof(Block));
  }
  return out;
}

}  // namespace

std::vector<std::byte> quantize(DType type, const std::vector<float>& values) {
  const size_t per_block = info(type).block_elements;
  OCTAVO_CHECK(values.size() % per_block == 0);
  if (type == DType::f32) return quantize_blocks<float>(values, per_block);
  if (type == DType::f16) return quantize_blocks<uint16_t>(values, per_block);
  if (type == DType::bf16) return quantize_blocks<Bf16>(values, per_block);
  if (type == DType::q4_0) return quantize_blocks<BlockQ4_0>(values, per_block);
  if (type == DType::q4_1) return quantize_blocks<BlockQ4_1>(values, per_block);
  OCTAVO_CHECK(type == DType::q8_0, "no quantiser for {}", info(type).name);
  return quantize_blocks<BlockQ8_0>(values, per_block);
}

}  // namespace octavo::gguf
