// Random blocks of every tensor type, for models that are made to be measured and not to be read.
//
// Nothing is quantised: a block's codes are random bits, and its scales are drawn around the one
// with which the values that the block stands for have mean 0 and the wanted standard deviation. So
// blocks are made as fast as a disk takes them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/dtype.h"

namespace octavo::gguf {

// Fills `out` with blocks (whole ones) number `first_block` and following of the tensor that
// `seed` names. A block is a function of the other arguments and its number alone, whichever call
// makes it. Stateless, so safe from any thread.
void draw_blocks(DType type, float deviation, uint64_t seed, uint64_t first_block,
                 std::span<std::byte> out);

}  // namespace octavo::gguf
