// The tokenizer of a model that is made: another file's, or one that is made up.
#pragma once

#include <cstdint>

#include "gguf/metadata.h"
#include "gguf/writer.h"
#include "octavo/result.h"

namespace octavo::cli {

// Adds all keys of the tokenizer in `from`, the chat templates too, and gives the number of tokens.
Result<uint32_t> copy_vocabulary(const gguf::Metadata& from, gguf::Writer& writer);

// Adds a byte-level BPE tokenizer of `size` tokens, at least 258: one for each byte, made-up words,
// and <|begin_of_text|> and <|end_of_text|>. It knows no merges: a text is encoded byte by byte.
void add_synthetic_vocabulary(gguf::Writer& writer, uint32_t size);

}  // namespace octavo::cli
