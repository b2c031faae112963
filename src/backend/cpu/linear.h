// Arguments of the matrix product out = x * weight^T on the CPU, shared by all instruction sets.
//
// Plain structs of pointers: they own nothing, and kernels check nothing. PackedWeight
// (packed_weight.h) makes the view of a weight and documents its layout.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace octavo::cpu {

// Output rows that are stored together, one lane of a vector each.
inline constexpr size_t kGroupRows = 16;
// Inner-dimension values that share a scale in the quantised activations.
inline constexpr size_t kChunk = 32;

// 32 activations as bytes, in one cache line: x is about scale * code.
struct alignas(64) ActivationChunk {
  int8_t codes[kChunk];       // -127..127
  float scale;                // greatest |x| / 127
  float scaled_sum;           // scale * sum of the codes
  float scaled_half_sums[2];  // the same for codes 0 to 15 and 16 to 31
  int32_t negative_sum;       // -(sum of the codes)
  int32_t negative_half_sums[2];
  int32_t unused;
};
static_assert(sizeof(ActivationChunk) == 64);

// A matrix [rows, columns] as PackedWeight lays it out.
struct PackedView {
  const std::byte* data = nullptr;  // group after group, 64-byte aligned
  size_t rows = 0;
  size_t columns = 0;
  size_t group_bytes = 0;
  const int8_t* value_table = nullptr;  // the 16 values of a code, for types that have a table
  DType type = DType::f32;
};

// Whether linear() reads activations as ActivationChunk (block-quantised weights) or as floats.
constexpr bool takes_quantized_activations(DType type) {
  return type != DType::f32 && type != DType::f16 && type != DType::bf16;
}

// out[row][i] = chunk i of x[row], for the rows [row_begin, row_end).
//
// Each 32 values are scaled by the greatest magnitude among them and rounded to nearest even. When
// all are below 2^-100 they become 0. When one is infinite or NaN the scale is infinity and the
// codes are 0, so that what is computed from them is NaN.
struct QuantizeArgs {
  const float* x = nullptr;        // [rows, columns]
  size_t x_stride = 0;             // floats from one row to the next
  size_t columns = 0;              // a multiple of kChunk
  ActivationChunk* out = nullptr;  // [rows, columns / kChunk]
  size_t row_begin = 0;
  size_t row_end = 0;
};

// out[row][o] = sum over i of weight[o][i] * x[row][i], for every row and the output elements o of
// the groups [group_begin, group_end).
//
// Invariant: the bits of an output element depend on its row of x and its row of the weight alone;
// not on the number of rows, the range of groups, or the instruction set.
struct LinearArgs {
  PackedView weight;
  size_t group_begin = 0;
  size_t group_end = 0;
  // One of these, by takes_quantized_activations(weight.type).
  const float* x = nullptr;                 // [rows, columns]
  const ActivationChunk* chunks = nullptr;  // [rows, columns / kChunk]
  size_t x_stride = 0;                      // floats or chunks from one row to the next
  size_t rows = 0;
  float* out = nullptr;  // [rows, weight.rows]
  size_t out_stride = 0;
};

}  // namespace octavo::cpu
