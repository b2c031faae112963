// Gemma 3, text (Gemma Team, 2025): norms before and after each sublayer, an RMS norm on every head
// of Q and K, five layers with a sliding window and their own rope base to each global one, GELU
// gating, embeddings scaled by sqrt(dim) and tied to the output. Converters have added the 1 to
// norm weights.
#include <cmath>

#include "base/error.h"
#include "model/decoder.h"
#include "model/families.h"

namespace octavo {
namespace {

constexpr int32_t kLayersPerGlobal = 6;
constexpr int32_t kLayersOf27B = 62;

struct GemmaLayer {
  WeightPtr attention_norm;
  AttentionWeights attention;
  WeightPtr attention_post_norm;
  WeightPtr feed_forward_norm;
  FeedForwardWeights feed_forward;
  WeightPtr feed_forward_post_norm;
};

class Gemma3 final : public Model {
 public:
  Gemma3(Backend& backend, const Hyperparameters& hp, const std::vector<int32_t>& windows)
      : Model(backend, make_shape(hp, windows)), hp_(hp), windows_(windows) {}

  Result<void> load_scales(const gguf::File& file);
  Result<void> load_weights(const gguf::File& file);
  StepOutput forward(const Batch& batch, KvStore& store) const override;

 private:
  Hyperparameters hp_;
  std::vector<int32_t> windows_;  // [layers] 0 for the global ones
  RopeTable global_rope_;
  RopeTable local_rope_;
  AttentionParams attention_params_;
  float output_soft_cap_ = 0.0F;
  Ends ends_;
  std::vector<GemmaLayer> layers_;
};

Result<void> Gemma3::load_scales(const gguf::File& file) {
  const gguf::Metadata& metadata = file.metadata();
  OCTAVO_ASSIGN(global_rope_, read_rope(file, hp_, /*interleaved=*/false));
  OCTAVO_ASSIGN(const float local_base, metadata.f32_or("gemma3.rope.freq_base_swa", 10000.0F));
  if (!(local_base > 1.0F)) {
    return invalid_input("{}: key 'gemma3.rope.freq_base_swa': {} is not above 1", file.path(),
                         local_base);
  }
  local_rope_ = plain_rope(static_cast<int32_t>(global_rope_.frequencies.size() * 2), local_base,
                           /*interleaved=*/false);
  // The 27B model alone scales by its width per head instead of the head size; files do not say so.
  const int32_t scaled_dims = hp_.layers == kLayersOf27B ? hp_.dim / hp_.heads : hp_.head_dim;
  attention_params_.scale = 1.0F / std::sqrt(static_cast<float>(scaled_dims));
  OCTAVO_ASSIGN(attention_params_.soft_cap, metadata.f32_or("gemma3.attn_logit_softcapping", 0.0F));
  OCTAVO_ASSIGN(output_soft_cap_, metadata.f32_or("gemma3.final_logit_softcapping", 0.0F));
  return {};
}

Result<void> Gemma3::load_weights(const gguf::File& file) {
  WeightLoader loader(file, backend_);
  ends_ = load_ends(loader, hp_);
  for (int32_t i = 0; i < hp_.layers; ++i) {
    const std::string prefix = "blk." + std::to_string(i) + ".";
    GemmaLayer layer;
    layer.attention_norm = loader.vector(prefix + "attn_norm.weight", hp_.dim);
    layer.attention = load_attention(loader, hp_, prefix);
    layer.attention_post_norm = loader.vector(prefix + "post_attention_norm.weight", hp_.dim);
    layer.feed_forward_norm = loader.vector(prefix + "ffn_norm.weight", hp_.dim);
    layer.feed_forward = load_feed_forward(loader, hp_, prefix);
    layer.feed_forward_post_norm = loader.vector(prefix + "post_ffw_norm.weight", hp_.dim);
    OCTAVO_TRY(loader.status());
    if (!layer.attention.q_norm || !layer.attention.k_norm) {
      return invalid_input("{}: tensor '{}attn_q_norm.weight' or '{}attn_k_norm.weight' is missing",
                           file.path(), prefix, prefix);
    }
    layers_.push_back(std::move(layer));
  }
  return {};
}

StepOutput Gemma3::forward(const Batch& batch, KvStore& store) const {
  Workspace work(backend_, hp_, batch.token_count());
  backend_.embed(work.x, *ends_.embedding, std::sqrt(static_cast<float>(hp_.dim)), batch);
  backend_.norm(work.h, work.x, *layers_.front().attention_norm, hp_.norm_epsilon);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const GemmaLayer& layer = layers_[i];
    const RopeTable& rope = windows_[i] == 0 ? global_rope_ : local_rope_;
    self_attention(backend_, work, layer.attention, hp_, static_cast<int32_t>(i), rope,
                   attention_params_, batch, store);
    backend_.norm(work.h, work.h, *layer.attention_post_norm, hp_.norm_epsilon);
    backend_.add_norm(work.h, work.x, work.h, *layer.feed_forward_norm, hp_.norm_epsilon);
    feed_forward(backend_, work, layer.feed_forward, Activation::gelu_tanh, batch);
    backend_.norm(work.h, work.h, *layer.feed_forward_post_norm, hp_.norm_epsilon);
    if (i + 1 < layers_.size()) {
      backend_.add_norm(work.h, work.x, work.h, *layers_[i + 1].attention_norm, hp_.norm_epsilon);
    } else {
      backend_.add(work.x, work.h);
    }
  }
  const StepOutput result = output(backend_, work, ends_, hp_, batch);
  if (output_soft_cap_ > 0.0F) backend_.soft_cap(result.logits, output_soft_cap_);
  return result;
}

}  // namespace

Result<std::unique_ptr<Model>> load_gemma3(const gguf::File& file, Backend& backend) {
  OCTAVO_ASSIGN(const Hyperparameters hp, read_hyperparameters(file));
  OCTAVO_ASSIGN(const int32_t window,
                read_window(file.metadata(), "gemma3.attention.sliding_window"));
  std::vector<int32_t> windows;
  for (int32_t layer = 0; layer < hp.layers; ++layer) {
    const bool global = (layer + 1) % kLayersPerGlobal == 0;
    windows.push_back(global ? 0 : window);
  }
  auto model = std::make_unique<Gemma3>(backend, hp, windows);
  OCTAVO_TRY(model->load_scales(file));
  OCTAVO_TRY(model->load_weights(file));
  return std::unique_ptr<Model>(std::move(model));
}

}  // namespace octavo
