// What follows the products of few rows, done by the products themselves.
#pragma once

#include "backend/backend.h"
#include "backend/cuda/rope_kernels.h"
#include "backend/cuda/tape.h"

namespace octavo::cuda {

// Each says whether the products do it now; if not, it must be noted itself.

// launch_rope_store(rope), where the last launches are launch_few_rows() and compute q, k and v,
// and nothing else: one launch for weights of one type, several otherwise.
bool fuse_rope(Tape& tape, const RopeStoreArgs& rope);

// gate = activation(gate) * up, where the last launch is launch_few_rows() and computes these two
// and nothing else. `up` is not written then.
bool fuse_gate(Tape& tape, Tensor gate, Tensor up, Activation activation);

}  // namespace octavo::cuda
