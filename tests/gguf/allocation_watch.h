// The largest single allocation that this thread made through operator new since reset().
#pragma once

#include <cstddef>

namespace octavo::allocation_watch {

void reset();
size_t largest_bytes();

}  // namespace octavo::allocation_watch
