// Which tokens of a vocabulary begin a text, end it, or end the model's turn: from the metadata
// where it says so, and for the turn's end also from the tokens' well-known texts, because many
// files name only one of several.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "gguf/metadata.h"
#include "octavo/result.h"

namespace octavo::text {

struct SpecialTokens {
  std::optional<int32_t> bos;
  std::optional<int32_t> eos;
  std::optional<int32_t> eot;  // end of turn
  std::optional<int32_t> eom;  // end of message
  std::optional<int32_t> unknown;
  std::optional<int32_t> padding;
  bool add_bos = false;
  bool add_eos = false;
  std::vector<int32_t> end_of_generation;  // ascending, holds eos, eot and eom where they exist
};

// What holds where the metadata is silent; it depends on the kind of tokenizer. A default id that
// is outside the vocabulary is dropped.
struct SpecialDefaults {
  std::optional<int32_t> bos;
  std::optional<int32_t> eos;
  std::optional<int32_t> unknown;
  bool add_bos = false;
};

class Vocabulary;

// `vocabulary` has its texts and kinds already. An id outside it, or a flag in the file to add a
// BOS or EOS that the file does not name, is an error.
Result<SpecialTokens> load_special_tokens(const gguf::Metadata& metadata,
                                          const Vocabulary& vocabulary,
                                          const SpecialDefaults& defaults);

}  // namespace octavo::text
