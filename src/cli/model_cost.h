// What a model's steps cost at the least: bytes that must be read, and operations of arithmetic.
//
// Counts what no implementation can do without: each matrix is read once a step, each visible key
// and value once for each token; a multiplication and an addition are two operations. Norms, rope
// and sampling are left out. Plain values and functions.
#pragma once

#include <cstdint>

#include "base/dtype.h"
#include "cli/kv_estimate.h"
#include "gguf/file.h"
#include "octavo/result.h"

namespace octavo::cli {

struct ModelCost {
  double weight_bytes = 0;       // of the matrices that every step reads
  double layer_parameters = 0;   // multiplied with every token
  double output_parameters = 0;  // multiplied where a token is drawn
  double head_values = 0;        // values of a token's query in one layer: heads * head_dim
  KvEstimate kv;

  // Of one request, with `generated` tokens drawn after a prompt of `prompt`. The last token drawn
  // is not computed.
  double operations(int64_t prompt, int64_t generated) const;
  // Bytes of keys and values read by the steps after the prompt's.
  double decode_kv_bytes(int64_t prompt, int64_t generated) const;
};

// The cost of a model that the engine can load, with keys and values of `kv_type`.
Result<ModelCost> read_model_cost(const gguf::File& file, DType kv_type);

}  // namespace octavo::cli
