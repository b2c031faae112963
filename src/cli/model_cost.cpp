#include "cli/model_cost.h"

#include <algorithm>

#include "model/weights.h"

namespace octavo::cli {
namespace {

// The sum of what the tokens at positions 1 to `tokens` see, each at most `window` positions (0:
// all).
double visible_positions(int64_t tokens, uint64_t window) {
  const auto count = static_cast<double>(tokens);
  const double ramp = window == 0 ? count : std::min(count, static_cast<double>(window));
  return ramp * (ramp + 1) / 2 + (count - ramp) * ramp;
}

}  // namespace

double ModelCost::operations(int64_t prompt, int64_t generated) const {
  const int64_t computed = prompt + generated - 1;
  double seen = 0;  // keys, over all layers
  for (const int32_t window : kv.layer_windows) {
    seen += visible_positions(computed, static_cast<uint64_t>(window));
  }
  // Two products with each key and value.
  return 2 * layer_parameters * static_cast<double>(computed) +
         2 * output_parameters * static_cast<double>(generated) + 4 * head_values * seen;
}

double ModelCost::decode_kv_bytes(int64_t prompt, int64_t generated) const {
  const auto read_by = [this](int64_t tokens) {
    return static_cast<double>(kv.global_bytes_per_token) * visible_positions(tokens, 0) +
           static_cast<double>(kv.windowed_bytes_per_token) * visible_positions(tokens, kv.window);
  };
  return read_by(prompt + generated - 1) - read_by(prompt);
}

Result<ModelCost> read_model_cost(const gguf::File& file, DType kv_type) {
  OCTAVO_ASSIGN(const Hyperparameters hp, read_hyperparameters(file));
  ModelCost cost;
  OCTAVO_ASSIGN(cost.kv, estimate_kv(file.metadata(), kv_type));
  cost.head_values = static_cast<double>(hp.heads) * hp.head_dim;
  const bool tied = file.find_tensor("output.weight") == nullptr;
  for (const gguf::TensorInfo& tensor : file.tensors()) {
    const bool is_table = tensor.name == "token_embd.weight";
    if (tensor.dim_count < 2 || (is_table && !tied)) continue;  // of a table few rows are read
    const bool is_output = is_table || tensor.name == "output.weight";
    (is_output ? cost.output_parameters : cost.layer_parameters) +=
        static_cast<double>(tensor.elements());
    cost.weight_bytes += static_cast<double>(tensor.bytes);
  }
  return cost;
}

}  // namespace octavo::cli
