#include "model/decoder.h"

#include <array>
#include <cmath>

namespace octavo {

Workspace::Workspace(Backend& backend, const Hyperparameters& hp, int64_t tokens)
    : x(backend.scratch(tokens, hp.dim)),
      h(backend.scratch(tokens, hp.dim)),
      q(backend.scratch(tokens, int64_t{hp.heads} * hp.head_dim)),
      attended(backend.scratch(tokens, int64_t{hp.heads} * hp.head_dim)),
      k(backend.scratch(tokens, int64_t{hp.kv_heads} * hp.head_dim)),
      v(backend.scratch(tokens, int64_t{hp.kv_heads} * hp.head_dim)),
      gated(backend.scratch(tokens, hp.hidden)),
      raised(backend.scratch(tokens, hp.hidden)) {}

int64_t Workspace::token_bytes(const Hyperparameters& hp) {
  const int64_t heads = hp.heads + hp.kv_heads;
  const int64_t floats = 2 * (int64_t{hp.dim} + heads * hp.head_dim + hp.hidden);
  return floats * static_cast<int64_t>(sizeof(float));
}

AttentionWeights load_attention(WeightLoader& loader, const Hyperparameters& hp,
                                const std::string& prefix) {
  const int64_t q_size = int64_t{hp.heads} * hp.head_dim;
  const int64_t kv_size = int64_t{hp.kv_heads} * hp.head_dim;
  AttentionWeights weights;
  weights.q = loader.matrix(prefix + "attn_q.weight", q_size, hp.dim);
  weights.k = loader.matrix(prefix + "attn_k.weight", kv_size, hp.dim);
  weights.v = loader.matrix(prefix + "attn_v.weight", kv_size, hp.dim);
  weights.out = loader.matrix(prefix + "attn_output.weight", hp.dim, q_size);
  weights.q_bias = loader.optional_vector(prefix + "attn_q.bias", q_size);
  weights.k_bias = loader.optional_vector(prefix + "attn_k.bias", kv_size);
  weights.v_bias = loader.optional_vector(prefix + "attn_v.bias", kv_size);
  weights.out_bias = loader.optional_vector(prefix + "attn_output.bias", hp.dim);
  weights.q_norm = loader.optional_vector(prefix + "attn_q_norm.weight", hp.head_dim);
  weights.k_norm = loader.optional_vector(prefix + "attn_k_norm.weight", hp.head_dim);
  return weights;
}

FeedForwardWeights load_feed_forward(WeightLoader& loader, const Hyperparameters& hp,
                                     const std::string& prefix) {
  FeedForwardWeights weights;
  weights.gate = loader.matrix(prefix + "ffn_gate.weight", hp.hidden, hp.dim);
  weights.up = loader.matrix(prefix + "ffn_up.weight", hp.hidden, hp.dim);
  weights.down = loader.matrix(prefix + "ffn_down.weight", hp.dim, hp.hidden);
  return weights;
}

Ends load_ends(WeightLoader& loader, const Hyperparameters& hp) {
  Ends ends;
  ends.embedding = loader.table("token_embd.weight", hp.vocabulary, hp.dim);
  ends.output_norm = loader.vector("output_norm.weight", hp.dim);
  const bool tied = !loader.has("output.weight");
  ends.output = loader.matrix(tied ? "token_embd.weight" : "output.weight", hp.vocabulary, hp.dim);
  return ends;
}

void self_attention(Backend& backend, Workspace& work, const AttentionWeights& weights,
                    const Hyperparameters& hp, int32_t layer, const RopeTable& rope,
                    const AttentionParams& params, const Batch& batch, KvStore& store) {
  const std::array<Projection, 3> qkv = {Projection{weights.q.get(), weights.q_bias.get(), work.q},
                                         Projection{weights.k.get(), weights.k_bias.get(), work.k},
                                         Projection{weights.v.get(), weights.v_bias.get(), work.v}};
  backend.linear(work.h, qkv, batch);
  if (weights.q_norm) {
    const Tensor heads = work.q.reshaped(hp.head_dim);  // [tokens * heads, head_dim]
    backend.norm(heads, heads, *weights.q_norm, hp.norm_epsilon);
  }
  if (weights.k_norm) {
    const Tensor heads = work.k.reshaped(hp.head_dim);  // [tokens * kv_heads, head_dim]
    backend.norm(heads, heads, *weights.k_norm, hp.norm_epsilon);
  }
  backend.rope_and_store(work.q, work.k, work.v, layer, rope, batch, store);
  backend.attention(work.attended, work.q, layer, params, batch, store);
  const std::array<Projection, 1> out = {
      Projection{weights.out.get(), weights.out_bias.get(), work.h}};
  backend.linear(work.attended, out, batch);
  backend.all_reduce(work.h);
}

void feed_forward(Backend& backend, Workspace& work, const FeedForwardWeights& weights,
                  Activation activation, const Batch& batch) {
  backend.gated_feed_forward(work.h, work.h,
                             {.gate = weights.gate.get(),
                              .up = weights.up.get(),
                              .down = weights.down.get(),
                              .activation = activation,
                              .gated = work.gated,
                              .raised = work.raised},
                             batch);
  backend.all_reduce(work.h);
}

StepOutput output(Backend& backend, Workspace& work, const Ends& ends, const Hyperparameters& hp,
                  const Batch& batch) {
  const Tensor rows = backend.output_rows(work.x, batch);  // [output_rows, dim]
  backend.norm(rows, rows, *ends.output_norm, hp.norm_epsilon);
  const int64_t logits_rows = rows.rows - batch.hidden_rows;
  const Tensor logits = backend.scratch(logits_rows, hp.vocabulary);
  const std::array<Projection, 1> out = {Projection{ends.output.get(), nullptr, logits}};
  backend.linear(rows.slice(0, logits_rows), out, batch);
  return {logits, rows.slice(logits_rows, batch.hidden_rows)};
}

Result<std::unique_ptr<Model>> Decoder::load(const gguf::File& file, Backend& backend,
                                             const Hyperparameters& hp, RopeTable rope,
                                             const std::vector<int32_t>& windows) {
  std::unique_ptr<Decoder> model(new Decoder(backend, hp, windows));
  model->rope_ = std::move(rope);
  WeightLoader loader(file, backend);
  model->ends_ = load_ends(loader, hp);
  for (int32_t i = 0; i < hp.layers; ++i) {
    const std::string prefix = "blk." + std::to_string(i) + ".";
    DecoderLayer layer;
    layer.attention_norm = loader.vector(prefix + "attn_norm.weight", hp.dim);
    layer.attention = load_attention(loader, hp, prefix);
    layer.feed_forward_norm = loader.vector(prefix + "ffn_norm.weight", hp.dim);
    layer.feed_forward = load_feed_forward(loader, hp, prefix);
    OCTAVO_TRY(loader.status());
    model->layers_.push_back(std::move(layer));
  }
  return std::unique_ptr<Model>(std::move(model));
}

StepOutput Decoder::forward(const Batch& batch, KvStore& store) const {
  const AttentionParams params{.scale = 1.0F / std::sqrt(static_cast<float>(hp_.head_dim))};
  Workspace work(backend_, hp_, batch.token_count());
  backend_.embed(work.x, *ends_.embedding, 1.0F, batch);
  backend_.norm(work.h, work.x, *layers_.front().attention_norm, hp_.norm_epsilon);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const DecoderLayer& layer = layers_[i];
    self_attention(backend_, work, layer.attention, hp_, static_cast<int32_t>(i), rope_, params,
                   batch, store);
    backend_.add_norm(work.h, work.x, work.h, *layer.feed_forward_norm, hp_.norm_epsilon);
    feed_forward(backend_, work, layer.feed_forward, Activation::silu, batch);
    if (i + 1 < layers_.size()) {
      backend_.add_norm(work.h, work.x, work.h, *layers_[i + 1].attention_norm, hp_.norm_epsilon);
    } else {
      backend_.add(work.x, work.h);
    }
  }
  return output(backend_, work, ends_, hp_, batch);
}

}  // namespace octavo
