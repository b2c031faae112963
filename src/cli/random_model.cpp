#include "cli/random_model.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "base/error.h"
#include "gguf/random_blocks.h"

namespace octavo::cli {
namespace {

constexpr std::array<ModelPreset, 3> kPresets = {{
    // Llama 3.1 8B
    {"llama-8b", 32, 4096, 32, 8, 14336, 128256, 131072, 500'000.0F},
    // TinyLlama 1.1B
    {"tiny-1b", 22, 2048, 32, 4, 5632, 32000, 2048, 10'000.0F},
    // The smallest that every type can hold; for tests.
    {"test", 2, 256, 4, 2, 512, 512, 1024, 10'000.0F},
}};

// The mixes, beside the types themselves.
constexpr std::array<TypeMix, 2> kMixes = {{
    {"Q4_K_M", DType::q4_k, DType::q6_k},
    {"Q5_K_M", DType::q5_k, DType::q6_k},
}};

// The layers in which a mix gives attn_v and ffn_down more bits: the first and the last eighth, and
// every third between them.
bool is_finer_layer(uint32_t layer, uint32_t layers) {
  const uint32_t eighth = layers / 8;
  return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
}

class ModelMaker {
 public:
  ModelMaker(gguf::Writer& writer, uint32_t seed) : writer_(writer), seed_(seed) {}

  void matrix(const std::string& name, DType type, uint64_t columns, uint64_t rows) {
    const float deviation = 1.0F / std::sqrt(static_cast<float>(columns));
    writer_.add_tensor(name, type, {columns, rows},
                       [type, deviation, seed = next_seed()](uint64_t first, auto out) {
                         gguf::draw_blocks(type, deviation, seed, first, out);
                       });
  }

  // The weight of a norm: numbers around 1.
  void norm(const std::string& name, uint64_t size) {
    std::vector<std::byte> bytes(size * sizeof(float));
    gguf::draw_blocks(DType::f32, 0.05F, next_seed(), 0, bytes);
    auto* values = reinterpret_cast<float*>(bytes.data());
    for (uint64_t i = 0; i < size; ++i) values[i] += 1.0F;
    writer_.add_tensor(name, DType::f32, {size}, std::move(bytes));
  }

 private:
  uint64_t next_seed() { return uint64_t{seed_} << 32 | tensors_++; }

  gguf::Writer& writer_;
  uint32_t seed_;
  uint32_t tensors_ = 0;
};

void add_keys(gguf::Writer& writer, const ModelPreset& preset, const TypeMix& mix, uint32_t seed) {
  writer.add_string("general.architecture", "llama");
  writer.add_string("general.name",
                    fmt::format("{} {}, random weights, seed {}", preset.name, mix.name, seed));
  writer.add_u32("llama.context_length", preset.context_length);
  writer.add_u32("llama.embedding_length", preset.dim);
  writer.add_u32("llama.block_count", preset.layers);
  writer.add_u32("llama.feed_forward_length", preset.hidden);
  writer.add_u32("llama.attention.head_count", preset.heads);
  writer.add_u32("llama.attention.head_count_kv", preset.kv_heads);
  writer.add_f32("llama.attention.layer_norm_rms_epsilon", 1e-5F);
  writer.add_u32("llama.rope.dimension_count", preset.dim / preset.heads);
  writer.add_f32("llama.rope.freq_base", preset.rope_base);
  writer.add_u32("llama.vocab_size", preset.vocabulary);
}

}  // namespace

std::string preset_names() {
  std::vector<std::string_view> names;
  names.reserve(kPresets.size());
  for (const ModelPreset& preset : kPresets) names.push_back(preset.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string type_mix_names() {
  std::vector<std::string_view> names;
  names.reserve(kDTypes.size() + kMixes.size());
  for (const DTypeInfo& type : kDTypes) names.push_back(type.name);
  for (const TypeMix& mix : kMixes) names.push_back(mix.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

Result<ModelPreset> find_preset(std::string_view name) {
  for (const ModelPreset& preset : kPresets) {
    if (preset.name == name) return preset;
  }
  return invalid_input("preset: '{}' is not one of {}", printable(name), preset_names());
}

Result<TypeMix> find_type_mix(std::string_view name) {
  for (const TypeMix& mix : kMixes) {
    if (mix.name == name) return mix;
  }
  for (const DTypeInfo& type : kDTypes) {
    if (type.name == name) return TypeMix{type.name, type.type, type.type};
  }
  return invalid_input("type: '{}' is not one of {}", printable(name), type_mix_names());
}

void add_random_model(gguf::Writer& writer, const ModelPreset& preset, const TypeMix& mix,
                      uint32_t seed) {
  add_keys(writer, preset, mix, seed);
  const uint64_t dim = preset.dim;
  const uint64_t kv_size = dim / preset.heads * preset.kv_heads;
  const DType usual = mix.usual;
  ModelMaker make(writer, seed);
  make.matrix("token_embd.weight", usual, dim, preset.vocabulary);
  for (uint32_t layer = 0; layer < preset.layers; ++layer) {
    const std::string prefix = fmt::format("blk.{}.", layer);
    const DType finer = is_finer_layer(layer, preset.layers) ? mix.finer : usual;
    make.norm(prefix + "attn_norm.weight", dim);
    make.matrix(prefix + "attn_q.weight", usual, dim, dim);
    make.matrix(prefix + "attn_k.weight", usual, dim, kv_size);
    make.matrix(prefix + "attn_v.weight", finer, dim, kv_size);
    make.matrix(prefix + "attn_output.weight", usual, dim, dim);
    make.norm(prefix + "ffn_norm.weight", dim);
    make.matrix(prefix + "ffn_gate.weight", usual, dim, preset.hidden);
    make.matrix(prefix + "ffn_up.weight", usual, dim, preset.hidden);
    make.matrix(prefix + "ffn_down.weight", finer, preset.hidden, dim);
  }
  make.norm("output_norm.weight", dim);
  make.matrix("output.weight", mix.finer, dim, preset.vocabulary);
}

}  // namespace octavo::cli
