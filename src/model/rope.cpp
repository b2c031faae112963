// The frequencies of rotary position embedding and the rules that stretch them to longer contexts.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "base/float16.h"
#include "model/weights.h"

namespace octavo {
namespace {

// The dimension whose wave turns `turns` times within `context` positions (YaRN, section 3.2).
double dimension_of_turns(double turns, int32_t rotated_dims, double base, double context) {
  return rotated_dims * std::log(context / (turns * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(base));
}

// YaRN (Peng et al., 2023): fast waves are kept, slow ones stretched by `factor`, those between
// blended linearly over their dimension; the attention factor makes up for the flatter scores.
Result<void> apply_yarn(RopeTable& rope, const gguf::Metadata& metadata, const std::string& prefix,
                        int32_t rotated_dims, float base, float factor) {
  OCTAVO_ASSIGN(const uint32_t context, metadata.u32(prefix + "original_context_length"));
  OCTAVO_ASSIGN(const float beta_fast, metadata.f32_or(prefix + "yarn_beta_fast", 32.0F));
  OCTAVO_ASSIGN(const float beta_slow, metadata.f32_or(prefix + "yarn_beta_slow", 1.0F));
  OCTAVO_ASSIGN(const float attention_factor, metadata.f32_or(prefix + "attn_factor", 1.0F));
  if (context == 0 || beta_fast <= 0 || beta_slow <= 0) {
    return invalid_input("{}: key '{}*': YaRN needs a positive context and positive betas",
                         metadata.source(), prefix);
  }
  const double low =
      std::max(0.0, std::floor(dimension_of_turns(beta_fast, rotated_dims, base, context)));
  const double high = std::min(
      rotated_dims - 1.0, std::ceil(dimension_of_turns(beta_slow, rotated_dims, base, context)));
  for (size_t i = 0; i < rope.frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / std::max(0.001, high - low),
                                   0.0, 1.0);  // 0: keep, 1: stretch
    const auto frequency = static_cast<double>(rope.frequencies[i]);
    rope.frequencies[i] = static_cast<float>(frequency * (1.0 - ramp) + frequency / factor * ramp);
  }
  rope.magnitude = attention_factor * (1.0F + 0.1F * std::log(factor));
  return {};
}

// Llama 3's rule arrives as a tensor of divisors, one per frequency.
Result<void> apply_divisors(RopeTable& rope, const gguf::File& file,
                            const gguf::TensorInfo& tensor) {
  if (tensor.type != DType::f32 || tensor.elements() != rope.frequencies.size()) {
    return invalid_input("{}: tensor '{}' must hold {} F32 values", file.path(), tensor.name,
                         rope.frequencies.size());
  }
  const auto* divisors = reinterpret_cast<const float*>(tensor.data);
  for (size_t i = 0; i < rope.frequencies.size(); ++i) rope.frequencies[i] /= divisors[i];
  return {};
}

}  // namespace

RopeTable plain_rope(int32_t rotated_dims, float base, bool interleaved) {
  RopeTable rope;
  rope.interleaved = interleaved;
  rope.frequencies.resize(static_cast<size_t>(rotated_dims / 2));
  for (size_t i = 0; i < rope.frequencies.size(); ++i) {
    rope.frequencies[i] = static_cast<float>(
        std::pow(static_cast<double>(base), -2.0 * static_cast<double>(i) / rotated_dims));
  }
  return rope;
}

Result<RopeTable> read_rope(const gguf::File& file, const Hyperparameters& hp, bool interleaved) {
  const gguf::Metadata& metadata = file.metadata();
  const std::string prefix = hp.architecture + ".rope.";
  const std::string scaling = prefix + "scaling.";
  OCTAVO_ASSIGN(const uint32_t rotated_dims,
                metadata.u32_or(prefix + "dimension_count", static_cast<uint32_t>(hp.head_dim)));
  OCTAVO_ASSIGN(const float base, metadata.f32_or(prefix + "freq_base", 10000.0F));
  if (rotated_dims < 2 || rotated_dims % 2 != 0 ||
      rotated_dims > static_cast<uint32_t>(hp.head_dim) || !(base > 1.0F)) {
    return invalid_input(
        "{}: key '{}dimension_count' or '{}freq_base': {} of {} dimensions with base {}",
        file.path(), prefix, prefix, rotated_dims, hp.head_dim, base);
  }
  const auto dims = static_cast<int32_t>(rotated_dims);
  RopeTable rope = plain_rope(dims, base, interleaved);

  if (const gguf::TensorInfo* divisors = file.find_tensor("rope_freqs.weight")) {
    OCTAVO_TRY(apply_divisors(rope, file, *divisors));
  }
  OCTAVO_ASSIGN(const std::string type, metadata.string_or(scaling + "type", "none"));
  // Old files give a linear factor without a type.
  OCTAVO_ASSIGN(const float old_factor, metadata.f32_or(prefix + "scale_linear", 1.0F));
  OCTAVO_ASSIGN(const float factor, metadata.f32_or(scaling + "factor", old_factor));
  if (!(factor > 0.0F)) {
    return invalid_input("{}: key '{}factor': {} is not positive", file.path(), scaling, factor);
  }
  if (type == "yarn") {
    OCTAVO_TRY(apply_yarn(rope, metadata, scaling, dims, base, factor));
  } else if (type == "linear" || (type == "none" && !metadata.has(scaling + "type"))) {
    for (float& frequency : rope.frequencies) frequency /= factor;
  } else if (type != "none") {
    return unsupported("{}: key '{}type': '{}' is not one of none, linear, yarn", file.path(),
                       scaling, printable(type));
  }
  return rope;
}

}  // namespace octavo
