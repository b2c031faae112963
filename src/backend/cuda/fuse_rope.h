// Turning q and k and storing k and v, by the products of few rows that compute them.
#pragma once

#include "backend/cuda/rope_kernels.h"
#include "backend/cuda/tape.h"

namespace octavo::cuda {

// launch_rope_store(rope), where the last launches are launch_few_rows() and compute q, k and v,
// and nothing else: one launch for weights of one type, several otherwise. Says whether they do it
// now; if not, it must be noted itself.
bool fuse_rope(Tape& tape, const RopeStoreArgs& rope);

}  // namespace octavo::cuda
