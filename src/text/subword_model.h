// How a kind of tokenizer cuts ordinary text (special tokens are already taken out) into tokens.
//
// Implemented by SpmModel and BpeModel. Immutable after construction, safe from any thread.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace octavo::text {

class SubwordModel {
 public:
  virtual ~SubwordModel() = default;
  // Appends the tokens of `text`, any bytes. `at_start`: nothing, or a special token, goes before.
  virtual void encode(std::string_view text, bool at_start, std::vector<int32_t>& out) const = 0;
  // True when encode() puts a space before a text at the start, which decoding takes away again.
  virtual bool adds_space_prefix() const = 0;
};

}  // namespace octavo::text
