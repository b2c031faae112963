// What `octavo inspect` prints: a model file's metadata and tensors, and what fits in memory.
//
// Stateless. Long arrays and, in the text form, long strings are shortened.
#pragma once

#include <cstdint>
#include <string>

#include "gguf/file.h"

namespace octavo::cli {

struct InspectOptions {
  bool json = false;
  // The memory that weights and KV cache together may take; 0: say nothing about what fits.
  uint64_t memory_bytes = 0;
};

// Text for people, or one JSON object; ends with a newline. A file without what an estimate of the
// KV cache needs (a vocabulary only, say) is not an error: the report says what is missing.
std::string inspect(const gguf::File& file, const InspectOptions& options);

}  // namespace octavo::cli
