#include "backend/cuda/fuse_products.h"

#include "backend/cuda/few_rows.h"

namespace octavo::cuda {
namespace {

bool does_more(const FewRowsArgs& args) {
  return args.rope.head_dim > 0 || args.gating != Gating::none;
}

// Which of q, k and v a product computes, as bits; 0 where it computes anything else, or does more
// than that already.
constexpr unsigned int kAll = 7;
unsigned int computed_of(const RopeStoreArgs& rope, const FewRowsArgs& args) {
  if (does_more(args) || args.rows != rope.tokens) return 0;
  const int64_t q_columns = int64_t{rope.heads} * rope.head_dim;
  const int64_t kv_columns = int64_t{rope.kv_heads} * rope.head_dim;
  unsigned int computed = 0;
  for (int64_t i = 0; i < args.count; ++i) {
    const QuantizedPart& part = args.parts[i];
    if (part.out == rope.q && part.weight.rows == q_columns) {
      computed |= 1;
    } else if (part.out == rope.k && part.weight.rows == kv_columns) {
      computed |= 2;
    } else if (part.out == rope.v && part.weight.rows == kv_columns) {
      computed |= 4;
    } else {
      return 0;
    }
  }
  return computed;
}

}  // namespace

bool fuse_rope(Tape& tape, const RopeStoreArgs& rope) {
  if (rope.head_dim % 2 != 0) return false;
  // Looks first, and amends when all three were found.
  unsigned int found = 0;
  size_t launches = 0;
  while (found != kAll) {
    unsigned int computed = 0;
    tape.amend(launches++, launch_few_rows, [&](const FewRowsArgs& args) {
      computed = computed_of(rope, args);
      return false;
    });
    if (computed == 0 || (found & computed) != 0) return false;
    found |= computed;
  }
  while (launches > 0) {
    tape.amend(--launches, launch_few_rows, [&](FewRowsArgs& args) {
      args.rope = rope;
      return true;
    });
  }
  return true;
}

bool fuse_gate(Tape& tape, Tensor gate, Tensor up, Activation activation) {
  return tape.amend_last(launch_few_rows, [&](FewRowsArgs& args) {
    const QuantizedPart& first = args.parts[0];
    const QuantizedPart& second = args.parts[1];
    if (args.count != 2 || args.rows != gate.rows || does_more(args)) return false;
    if (first.out != gate.data || second.out != up.data) return false;
    if (first.weight.rows != second.weight.rows || first.weight.chunks >= kLongRow) return false;
    args.gating = activation == Activation::gelu_tanh ? Gating::gelu_tanh : Gating::silu;
    return true;
  });
}

}  // namespace octavo::cuda
