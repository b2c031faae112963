// Floats to the blocks of a GGUF tensor, for tests that make models.
//
// Rounds as the reference implementation (the PyPI package gguf) does, which tests/data/quantize
// shows for each type: F32, F16, BF16, Q4_0, Q4_1 and Q8_0. Others are a mistake of the caller
// (CHECK). Stateless.
#pragma once

#include <cstddef>
#include <vector>

#include "base/dtype.h"

namespace octavo::gguf {

// The number of values must be a multiple of the type's block_elements.
std::vector<std::byte> quantize(DType type, const std::vector<float>& values);

}  // namespace octavo::gguf
