// The KV cache as text: a character for each block, the denser the busier, and a legend that counts
// them.
#pragma once

#include <string>

#include "octavo/cache_snapshot.h"
#include "octavo/engine.h"

namespace octavo::cli {

// Lines that end in newlines, the picture's at most `width` characters (at least 20) wide and
// twelve lines high: of a larger pool, a character stands for several blocks and shows the busiest.
std::string cache_picture(const CacheSnapshot& snapshot, const EngineStats& stats, int width,
                          bool colour);

// "120 of 340 prompt tokens found in the cache (35 %)"
std::string hit_rate(const EngineStats& stats);

}  // namespace octavo::cli
