// The prompts of `octavo generate`: a file with one prompt a line, or with one JSON object a line.
//
// It is JSON when its first character that is not white space is '{'. An object has "prompt", a
// text, or "messages", a conversation; and may have "n", the number of outputs, and any parameter
// of sampling or beam search by its name. Blank lines are skipped. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "octavo/engine.h"
#include "octavo/result.h"

namespace octavo::cli {

struct Prompt {
  std::string text;                   // empty where there are messages
  std::vector<ChatMessage> messages;  // empty where there is a text
  SamplingParams sampling;
  int32_t outputs = 1;
  std::optional<BeamParams> beam;
};

// `defaults` gives what a line leaves out. Errors begin with "name:line: " and say what is wrong
// with that line.
Result<std::vector<Prompt>> parse_prompts(std::string_view name, std::string_view content,
                                          const Prompt& defaults);

}  // namespace octavo::cli
