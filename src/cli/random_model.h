// Models of random weights, with the shapes and types of real ones, to be measured.
//
// Which type a tensor gets follows llama.cpp's quantizer: a type's name means all matrices, a mix's
// (Q4_K_M) gives some of them more bits. Weights have the standard deviation 1 / sqrt(columns), so
// that activations and logits stay near 1. Stateless.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/dtype.h"
#include "gguf/writer.h"
#include "octavo/result.h"

namespace octavo::cli {

// The sizes of a model of the llama family.
struct ModelPreset {
  std::string_view name;
  uint32_t layers;
  uint32_t dim;
  uint32_t heads;
  uint32_t kv_heads;
  uint32_t hidden;  // of the feed-forward layers
  uint32_t vocabulary;
  uint32_t context_length;
  float rope_base;
};

struct TypeMix {
  std::string_view name;
  DType usual = DType::f32;
  DType finer = DType::f32;  // of the output and, in half of the layers, attn_v and ffn_down
};

// Errors list the names there are.
Result<ModelPreset> find_preset(std::string_view name);
Result<TypeMix> find_type_mix(std::string_view name);

std::string preset_names();  // "llama-8b, tiny-1b, test"
std::string type_mix_names();

// Adds all keys and tensors but the tokenizer's. Equal arguments give equal bytes.
void add_random_model(gguf::Writer& writer, const ModelPreset& preset, const TypeMix& mix,
                      uint32_t seed);

}  // namespace octavo::cli
