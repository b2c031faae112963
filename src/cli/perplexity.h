// Perplexity of a text, by the method of llama.cpp's perplexity tool, so that figures compare.
//
// The text is tokenized once, special tokens not parsed, with the tokens that the model wants
// around it; one newline at its end is dropped. The tokens are cut into chunks of n, the rest is
// left out; where the model wants BOS, it replaces the first token of each chunk. Each chunk is a
// prompt of its own, and the second half of its tokens is scored: positions n/2 to n-2, each
// against the token that follows. The result is exp(mean of -log p).
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "octavo/engine.h"
#include "octavo/result.h"

namespace octavo::cli {

struct Perplexity {
  double value = 0.0;
  double standard_error = 0.0;
  int64_t text_tokens = 0;
  int64_t chunks = 0;
  int64_t scored_tokens = 0;
  std::vector<double> of_each_chunk;
};

// `chunk` is n, at least min_chunk and at most the model's context. `progress(done, chunks)` is
// called after each chunk.
inline constexpr int64_t min_chunk = 8;
Result<Perplexity> measure_perplexity(Engine& engine, std::string_view text, int64_t chunk,
                                      const std::function<void(int64_t, int64_t)>& progress);

}  // namespace octavo::cli
