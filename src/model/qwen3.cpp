// Qwen3, dense (Yang et al., 2025): the pre-norm decoder with an RMS norm on every head of Q and K,
// and a head size that is independent of the model's width.
#include "base/error.h"
#include "model/decoder.h"
#include "model/families.h"

namespace octavo {

Result<std::unique_ptr<Model>> load_qwen3(const gguf::File& file, Backend& backend) {
  OCTAVO_ASSIGN(const Hyperparameters hp, read_hyperparameters(file));
  OCTAVO_ASSIGN(RopeTable rope, read_rope(file, hp, /*interleaved=*/false));
  if (file.find_tensor("blk.0.attn_q_norm.weight") == nullptr) {
    return invalid_input("{}: tensor 'blk.0.attn_q_norm.weight' is missing", file.path());
  }
  const std::vector<int32_t> windows(static_cast<size_t>(hp.layers), 0);
  return Decoder::load(file, backend, hp, std::move(rope), windows);
}

}  // namespace octavo
