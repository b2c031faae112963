// Random matrix products for the tests of the CPU kernels: the cases, their data, and how to run
// them. Deterministic for a seed, on every machine: no expression draws two numbers, since their
// order would be the compiler's.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "backend/cpu/kernels.h"
#include "backend/cpu/packed_weight.h"
#include "base/check.h"
#include "base/float16.h"
#include "gguf/blocks.h"

namespace octavo::cpu::testing {

struct LinearCase {
  DType type;
  size_t rows;     // of the weight
  size_t columns;  // in units of the type's block
  size_t activation_rows;
};

// Every type, with sizes around the edges of groups (16), chunks (32) and row tiles (8).
inline std::vector<LinearCase> linear_cases() {
  std::vector<LinearCase> out;
  for (const DTypeInfo& type : kDTypes) {
    const size_t block = type.block_elements;
    out.push_back({type.type, 1, block, 1});
    out.push_back({type.type, 16, block, 2});
    out.push_back({type.type, 17, 2 * block, 3});
    out.push_back({type.type, 40, 3 * block, 8});
    out.push_back({type.type, 100, block == 256 ? 2 * block : 7 * block, 15});
    if (block == 1) {
      out.push_back({type.type, 33, 31, 9});
      out.push_back({type.type, 70, 101, 4});
    }
    if (block == 32) out.push_back({type.type, 48, 18 * block, 21});
  }
  return out;
}

// In [-1, 1), from the generator's bits alone: the standard distributions differ between libraries.
inline float random_float(std::mt19937_64& random) {
  return static_cast<float>(static_cast<double>(random() >> 11) * 0x1p-52 - 1.0);
}

// Writes a half-precision number of magnitude 2^-8 to 2^-4 over the field at `offset` of a block.
inline void set_f16(std::byte* block, size_t offset, std::mt19937_64& random) {
  const float sign = (random() & 1) != 0 ? -1.0f : 1.0f;
  const float mantissa = 1.0f + std::fabs(random_float(random));
  const float value = std::ldexp(mantissa, static_cast<int>(random() % 4) - 8);
  const uint16_t bits = f16_from_float(sign * value);
  std::memcpy(block + offset, &bits, sizeof(bits));
}

// Where the half-precision fields of a type's block lie.
inline std::vector<size_t> f16_fields(DType type) {
  switch (type) {
    case DType::q4_1:
      return {offsetof(gguf::BlockQ4_1, d), offsetof(gguf::BlockQ4_1, m)};
    case DType::q5_1:
      return {offsetof(gguf::BlockQ5_1, d), offsetof(gguf::BlockQ5_1, m)};
    case DType::q2_k:
      return {offsetof(gguf::BlockQ2_K, d), offsetof(gguf::BlockQ2_K, dmin)};
    case DType::q3_k:
      return {offsetof(gguf::BlockQ3_K, d)};
    case DType::q4_k:
      return {offsetof(gguf::BlockQ4_K, d), offsetof(gguf::BlockQ4_K, dmin)};
    case DType::q5_k:
      return {offsetof(gguf::BlockQ5_K, d), offsetof(gguf::BlockQ5_K, dmin)};
    case DType::q6_k:
      return {offsetof(gguf::BlockQ6_K, d)};
    case DType::mxfp4:
      return {};
    default:
      return {0};  // the first field
  }
}

// A tensor of random blocks: every bit of the codes and small scales random, the floats moderate.
inline std::vector<std::byte> random_tensor(DType type, size_t elements, std::mt19937_64& random) {
  const DTypeInfo& type_info = info(type);
  std::vector<std::byte> out(row_bytes(type, elements));
  for (std::byte& byte : out) byte = static_cast<std::byte>(random() >> 56);
  for (size_t at = 0; at < out.size(); at += type_info.block_bytes) {
    std::byte* block = out.data() + at;
    if (type == DType::f32) {
      const float value = random_float(random);
      std::memcpy(block, &value, sizeof(value));
    } else if (type == DType::bf16) {
      const uint16_t value = bf16_from_float(random_float(random));
      std::memcpy(block, &value, sizeof(value));
    } else if (type == DType::mxfp4) {
      block[0] = static_cast<std::byte>(118 + random() % 8);
    } else {
      for (const size_t offset : f16_fields(type)) set_f16(block, offset, random);
    }
  }
  return out;
}

// Random activations with outliers, and a chunk of zeros when there is room for one.
inline std::vector<float> random_activations(size_t rows, size_t columns, std::mt19937_64& random) {
  std::vector<float> out(rows * columns);
  for (float& value : out) {
    value = random_float(random);
    if ((random() & 31) == 0) value *= 20.0f;
  }
  if (columns >= 2 * kChunk) {
    for (size_t i = 0; i < kChunk; ++i) out[kChunk + i] = 0.0f;
  }
  return out;
}

inline PackedWeight pack(DType type, size_t rows, size_t columns, const std::byte* tensor) {
  Result<PackedWeight> weight = PackedWeight::create(type, rows, columns);
  OCTAVO_CHECK(weight.ok(), "{}", weight.error().message);
  for (size_t group = 0; group < weight->groups(); ++group) weight->pack_group(group, tensor);
  return std::move(*weight);
}

inline std::vector<ActivationChunk> quantize(const Kernels& kernels, const std::vector<float>& x,
                                             size_t rows, size_t columns) {
  std::vector<ActivationChunk> out(rows * columns / kChunk);
  kernels.quantize_rows({.x = x.data(),
                         .x_stride = columns,
                         .columns = columns,
                         .out = out.data(),
                         .row_begin = 0,
                         .row_end = rows});
  return out;
}

// The product of all of x [activation_rows, columns] and the weight. It is computed by calls for
// `rows_at_once` rows and `groups_at_once` groups each.
inline std::vector<float> multiply(const Kernels& kernels, const PackedWeight& weight,
                                   const std::vector<float>& x, size_t activation_rows,
                                   size_t rows_at_once, size_t groups_at_once) {
  const PackedView& view = weight.view();
  std::vector<float> out(activation_rows * view.rows, std::nanf(""));
  std::vector<ActivationChunk> chunks;
  const bool quantized = takes_quantized_activations(view.type);
  if (quantized) chunks = quantize(kernels, x, activation_rows, view.columns);
  for (size_t row = 0; row < activation_rows; row += rows_at_once) {
    for (size_t group = 0; group < weight.groups(); group += groups_at_once) {
      LinearArgs args;
      args.weight = view;
      args.group_begin = group;
      args.group_end = std::min(group + groups_at_once, weight.groups());
      args.x_stride = quantized ? view.columns / kChunk : view.columns;
      if (quantized) {
        args.chunks = chunks.data() + row * args.x_stride;
      } else {
        args.x = x.data() + row * args.x_stride;
      }
      args.rows = std::min(rows_at_once, activation_rows - row);
      args.out = out.data() + row * view.rows;
      args.out_stride = view.rows;
      kernels.linear(args);
    }
  }
  return out;
}

}  // namespace octavo::cpu::testing
