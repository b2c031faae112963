// Operations on rows of activations: arguments and launches. The arguments are plain data in device
// memory; members are ordered so that no padding lies between them (tape.h).
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "backend/cuda/rounded_rows.h"
#include "backend/cuda/weight_layout.h"

namespace octavo::cuda {

// out[row] = scale * table[tokens[row]]. The table is dense (f32, f16, bf16) or quantised.
struct EmbedArgs {
  float* out;              // [rows, columns]
  const int32_t* tokens;   // [rows] as in Batch: ids, or ~r
  const int32_t* sampled;  // [r] ids
  const void* dense;       // [entries, columns], or null:
  QuantizedView table;
  int64_t rows;
  int64_t columns;
  float scale;
  int32_t type;  // DType
};
void launch_embed(const EmbedArgs& args, cudaStream_t stream);

// x += y where y is given; out = x / sqrt(mean(x^2) + epsilon) * weight. out may be x or y.
struct NormArgs {
  float* out;           // [rows, columns]
  float* x;             // [rows, columns]
  const float* y;       // [rows, columns] or null
  const float* weight;  // [columns]
  RoundedRows rounded;  // out once more, where norm_rounds()
  void* wide;  // the same for wide_tiles.h (RoundWideArgs), where norm_rounds_wide(); or null
  float* wide_scales;
  int64_t rows;
  int32_t columns;
  float epsilon;
};
constexpr bool norm_rounds(int64_t columns) {
  return columns > 512 && columns % kChunk == 0;
}
constexpr bool norm_rounds_wide(int64_t columns) {
  return norm_rounds(columns) && columns <= 8192 && columns % 128 == 0;
}
void launch_norm(const NormArgs& args, cudaStream_t stream);

// x += y.
struct AddArgs {
  float* x;
  const float* y;
  int64_t elements;
};
void launch_add(const AddArgs& args, cudaStream_t stream);

// x[row] = x[row] * scales[row] + bias for every row.
struct ScaleAndBiasArgs {
  float* x;             // [rows, columns]
  const float* scales;  // [rows], or null
  const float* bias;    // [columns], or null
  int64_t rows;
  int64_t columns;
};
void launch_scale_and_bias(const ScaleAndBiasArgs& args, cudaStream_t stream);

// gate = activation(gate) * up.
struct GateArgs {
  float* gate;
  const float* up;
  RoundedRows rounded;  // the new gate once more; elements are whole chunks then
  int64_t elements;
  int64_t gelu;  // 1: tanh approximation of GELU, 0: SiLU
};
void launch_gate(const GateArgs& args, cudaStream_t stream);

// x rounded.
struct RoundArgs {
  RoundedRows rounded;
  const float* x;
  int64_t elements;  // a multiple of 32
};
void launch_round(const RoundArgs& args, cudaStream_t stream);

// x = cap * tanh(x / cap).
struct SoftCapArgs {
  float* x;
  int64_t elements;
  double cap;
};
void launch_soft_cap(const SoftCapArgs& args, cudaStream_t stream);

// out[i] = x[rows[i]].
struct GatherArgs {
  float* out;           // [count, columns]
  const float* x;       // [.., columns]
  const int32_t* rows;  // [count]
  int64_t count;
  int64_t columns;
};
void launch_gather(const GatherArgs& args, cudaStream_t stream);

}  // namespace octavo::cuda
