#include "engine/output.h"

#include <algorithm>

namespace octavo {

FinishReason Output::accept(int32_t token, std::string& out) {
  ++generated_;
  const std::vector<int32_t>& ends = rules_.end_tokens;
  const bool at_end = std::find(ends.begin(), ends.end(), token) != ends.end();
  const bool at_limit = generated_ >= rules_.params.max_tokens;
  std::string text = at_end ? std::string() : detokenizer_.push(token);
  if (at_end || at_limit) text += detokenizer_.flush();

  if (generated_ <= rules_.params.min_tokens) {
    out += text;  // stop strings count from min_tokens on
  } else {
    text::StopMatcher::Output matched = stop_matcher_.push(text);
    out += matched.text;
    if (matched.stopped >= 0) return FinishReason::stop;
  }
  if (!at_end && !at_limit) return FinishReason::none;
  out += stop_matcher_.flush();
  return at_end ? FinishReason::stop : FinishReason::length;
}

}  // namespace octavo
