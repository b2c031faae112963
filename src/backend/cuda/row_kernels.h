// Operations on rows of activations: arguments and launches. The arguments are plain data in device
// memory; members are ordered so that no padding lies between them (tape.h).
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "backend/cuda/weight_layout.h"

namespace octavo::cuda {

// out[row] = scale * table[tokens[row]]. The table is dense (f32, f16, bf16) or quantised.
struct EmbedArgs {
  float* out;             // [rows, columns]
  const int32_t* tokens;  // [rows]
  const void* dense;      // [entries, columns], or null:
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
  int64_t rows;
  int32_t columns;
  float epsilon;
};
void launch_norm(const NormArgs& args, cudaStream_t stream);

// x += y.
struct AddArgs {
  float* x;
  const float* y;
  int64_t elements;
};
void launch_add(const AddArgs& args, cudaStream_t stream);

// x[row] += bias for every row.
struct AddBiasArgs {
  float* x;  // [rows, columns]
  const float* bias;
  int64_t rows;
  int64_t columns;
};
void launch_add_bias(const AddBiasArgs& args, cudaStream_t stream);

// gate = activation(gate) * up.
struct GateArgs {
  float* gate;
  const float* up;
  int64_t elements;
  int64_t gelu;  // 1: tanh approximation of GELU, 0: SiLU
};
void launch_gate(const GateArgs& args, cudaStream_t stream);

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

// out[row] = the index of the greatest value of a row, the lowest on a tie; NaN is below all else.
struct ArgmaxArgs {
  int32_t* out;              // [rows]
  unsigned long long* best;  // [rows] scratch
  const float* x;            // [rows, columns]
  int64_t rows;
  int64_t columns;
};
void launch_argmax(const ArgmaxArgs& args, cudaStream_t stream);

}  // namespace octavo::cuda
