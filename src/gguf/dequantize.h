// The floats that the blocks of a GGUF tensor stand for: the reference every kernel is held to.
//
// Plain and exact to the formats in blocks.h: each value comes from the same float operations, in
// the same order, as in the formulas there. Stateless, so safe from any thread.
#pragma once

#include <cstddef>

#include "base/dtype.h"

namespace octavo::gguf {

// Turns `elements` values (a multiple of the type's block_elements) at `blocks` into floats at
// `out`. `blocks` needs no alignment.
void dequantize_row(DType type, const std::byte* blocks, float* out, size_t elements);

}  // namespace octavo::gguf
