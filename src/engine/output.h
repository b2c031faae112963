// Output: one continuation of a request, from sampled tokens to text that may be shown.
//
// Holds back characters that are not complete and whatever could be the start of a stop string.
// Refers to the tokenizer and the request's shared parts, which must outlive it. Engine thread
// only.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "octavo/engine.h"
#include "octavo/sampling.h"
#include "text/detokenizer.h"
#include "text/stop_matcher.h"
#include "text/tokenizer.h"

namespace octavo {

// What all outputs of a request share, fixed when it is submitted.
struct OutputRules {
  SamplingParams params;  // with the seed in force and max_tokens resolved
  text::StopStrings stop_strings;
  std::vector<int32_t> end_tokens;     // tokens that end an output
  std::vector<int32_t> never_drawn;    // banned from every position
  std::vector<int32_t> banned_before;  // banned before min_tokens: never_drawn and end_tokens
  std::optional<BeamParams> beam;
  int32_t shown_logprobs = -1;  // as the request asked; params.logprobs is what is needed
};

class Output {
 public:
  Output(const text::Tokenizer& tokenizer, const OutputRules& rules)
      : rules_(rules), detokenizer_(tokenizer), stop_matcher_(rules.stop_strings) {}

  // Tokens that must not be drawn as the output's token `index`.
  std::span<const int32_t> banned(int32_t index) const {
    return index < rules_.params.min_tokens ? rules_.banned_before : rules_.never_drawn;
  }

  // Takes the next token. `out` gets the text that is now certain; the result says whether the
  // output is over.
  FinishReason accept(int32_t token, std::string& out);

 private:
  const OutputRules& rules_;
  text::Detokenizer detokenizer_;
  text::StopMatcher stop_matcher_;
  int32_t generated_ = 0;
};

}  // namespace octavo
