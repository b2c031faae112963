// What a decoder computes in.
#include <gtest/gtest.h>

#include "backend/create_backend.h"
#include "backend/simple_batch.h"
#include "model/decoder.h"

namespace octavo {
namespace {

TEST(Workspace, TakesTokenBytesForEachToken) {
  const auto backend = create_backend({.threads = 1}).value();
  Hyperparameters hp;
  hp.dim = 96;
  hp.heads = 6;
  hp.kv_heads = 2;
  hp.head_dim = 24;
  hp.hidden = 320;
  constexpr int64_t kTokens = 5;
  const SimpleBatch batch({1});
  backend->begin_step(batch.batch);
  const Workspace work(*backend, hp, kTokens);
  int64_t elements = 0;
  for (const Tensor& tensor :
       {work.x, work.h, work.q, work.attended, work.k, work.v, work.gated, work.raised}) {
    elements += tensor.elements();
  }
  EXPECT_EQ(kTokens * Workspace::token_bytes(hp), elements * 4);
}

}  // namespace
}  // namespace octavo
