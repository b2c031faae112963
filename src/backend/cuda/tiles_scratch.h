// What a launch of tiles needs beside its operands, where the parts of a sum are different blocks'
// work. Launches that may run at the same time need their own.
#pragma once

#include <cstddef>

namespace octavo::cuda {

struct TilesScratch {
  size_t partial_bytes;
  size_t counters;
};

}  // namespace octavo::cuda
