#include "backend/backend.h"

#include <array>

namespace octavo {

void Backend::add_norm(Tensor out, Tensor x, Tensor y, const Weight& weight, float epsilon) {
  add(x, y);
  norm(out, x, weight, epsilon);
}

void Backend::gated_feed_forward(Tensor out, Tensor x, const FeedForward& layer,
                                 const Batch& batch) {
  const std::array<Projection, 2> in = {Projection{layer.gate, nullptr, layer.gated},
                                        Projection{layer.up, nullptr, layer.raised}};
  linear(x, in, batch);
  gate(layer.gated, layer.raised, layer.activation);
  const std::array<Projection, 1> back = {Projection{layer.down, nullptr, out}};
  linear(layer.gated, back, batch);
}

}  // namespace octavo
