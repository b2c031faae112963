// The pre-norm transformer decoder that most families share, and its parts for those that differ.
//
//   x = embedding of the tokens
//   for each layer:  x += attention(norm(x));  x += feed_forward(norm(x))
//   logits = norm(x) * output^T
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/model.h"
#include "model/weights.h"

namespace octavo {

struct AttentionWeights {
  WeightPtr q, k, v, out;
  WeightPtr q_bias, k_bias, v_bias, out_bias;  // null in most families
  WeightPtr q_norm, k_norm;                    // of each head before rope; null in most families
};

struct FeedForwardWeights {
  WeightPtr gate, up, down;
};

struct DecoderLayer {
  WeightPtr attention_norm;
  AttentionWeights attention;
  WeightPtr feed_forward_norm;
  FeedForwardWeights feed_forward;
};

// The weights before and after the layers. `output` is the embedding again when the file ties them.
struct Ends {
  WeightPtr embedding;
  WeightPtr output_norm;
  WeightPtr output;
};

// Scratch tensors of one forward pass; every layer uses the same.
struct Workspace {
  Workspace(Backend& backend, const Hyperparameters& hp, int64_t tokens);
  static int64_t token_bytes(const Hyperparameters& hp);

  Tensor x;              // [tokens, dim] the residual stream
  Tensor h;              // [tokens, dim] what a sublayer reads and writes
  Tensor q, attended;    // [tokens, heads * head_dim]
  Tensor k, v;           // [tokens, kv_heads * head_dim]
  Tensor gated, raised;  // [tokens, hidden]
};

AttentionWeights load_attention(WeightLoader& loader, const Hyperparameters& hp,
                                const std::string& prefix);
FeedForwardWeights load_feed_forward(WeightLoader& loader, const Hyperparameters& hp,
                                     const std::string& prefix);
Ends load_ends(WeightLoader& loader, const Hyperparameters& hp);

// h = attention of h, in layer `layer`.
void self_attention(Backend& backend, Workspace& work, const AttentionWeights& weights,
                    const Hyperparameters& hp, int32_t layer, const RopeTable& rope,
                    const AttentionParams& params, const Batch& batch, KvStore& store);

// h = feed-forward of h.
void feed_forward(Backend& backend, Workspace& work, const FeedForwardWeights& weights,
                  Activation activation, const Batch& batch);

// The final norm and the output matrix, of the rows that want them.
StepOutput output(Backend& backend, Workspace& work, const Ends& ends, const Hyperparameters& hp,
                  const Batch& batch);

class Decoder final : public Model {
 public:
  // Loads every layer; `rope` is shared by all. `windows` [layers] as for make_shape.
  static Result<std::unique_ptr<Model>> load(const gguf::File& file, Backend& backend,
                                             const Hyperparameters& hp, RopeTable rope,
                                             const std::vector<int32_t>& windows);

  StepOutput forward(const Batch& batch, KvStore& store) const override;

 private:
  Decoder(Backend& backend, const Hyperparameters& hp, const std::vector<int32_t>& windows)
      : Model(backend, make_shape(hp, windows)), hp_(hp) {}

  Hyperparameters hp_;
  RopeTable rope_;
  Ends ends_;
  std::vector<DecoderLayer> layers_;
};

}  // namespace octavo
