// How much memory a model's KV cache takes, from its metadata alone: no tensor is read.
//
// Plain values, free of state. Counts keys and values in blocks of 16 tokens. Layers with a
// sliding window keep only the window's blocks and the one being filled; which layers those are is
// known for llama (all), gemma2 (every other) and gemma3 (five of six). For other architectures all
// layers are taken to keep everything, which can only overestimate.
#pragma once

#include <cstdint>
#include <vector>

#include "base/dtype.h"
#include "gguf/metadata.h"
#include "octavo/result.h"

namespace octavo::cli {

struct KvEstimate {
  uint64_t context_length = 0;            // tokens the model was made for
  uint64_t window = 0;                    // tokens that a windowed layer keeps; 0: no such layer
  uint64_t global_bytes_per_token = 0;    // over all layers that keep every token
  uint64_t windowed_bytes_per_token = 0;  // over all layers that keep the window
  std::vector<int32_t> layer_windows;     // of each layer, in order; 0: it keeps every token

  // For one sequence of this many tokens.
  uint64_t sequence_bytes(uint64_t tokens) const;
  // The most tokens of one sequence that fit these bytes, at most context_length.
  uint64_t longest_sequence(uint64_t bytes) const;
};

// With keys and values of that type. An error names the key that is missing or out of all
// proportion, or says that heads of this model's size cannot be kept as that type.
Result<KvEstimate> estimate_kv(const gguf::Metadata& metadata, DType type);

}  // namespace octavo::cli
