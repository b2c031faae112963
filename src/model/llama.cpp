// Llama 2 and 3 (Touvron et al., 2023; Grattafiori et al., 2024), Mistral (Jiang et al., 2023),
// SmolLM2 and whatever else is published under the "llama" architecture: the plain pre-norm decoder
// with grouped-query attention. Converters permute Q and K so that rope pairs are interleaved.
#include "model/decoder.h"
#include "model/families.h"

namespace octavo {

Result<std::unique_ptr<Model>> load_llama(const gguf::File& file, Backend& backend) {
  OCTAVO_ASSIGN(const Hyperparameters hp, read_hyperparameters(file));
  OCTAVO_ASSIGN(RopeTable rope, read_rope(file, hp, /*interleaved=*/true));
  // Mistral 7B v0.1 sees 4,096 positions back in every layer.
  OCTAVO_ASSIGN(const int32_t window,
                read_window(file.metadata(), "llama.attention.sliding_window"));
  const std::vector<int32_t> windows(static_cast<size_t>(hp.layers), window);
  return Decoder::load(file, backend, hp, std::move(rope), windows);
}

}  // namespace octavo
