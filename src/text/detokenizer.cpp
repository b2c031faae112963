#include "text/detokenizer.h"

#include <utility>

#include "base/utf8.h"

namespace octavo::text {

std::string Detokenizer::push(int32_t id) {
  if (tokenizer_.is_special(id) && !show_special_) return {};
  std::string bytes = std::exchange(held_, {});
  bytes += tokenizer_.piece(id);
  const size_t incomplete = utf8_incomplete_suffix(bytes);
  held_ = bytes.substr(bytes.size() - incomplete);
  bytes.resize(bytes.size() - incomplete);
  return replace_invalid_utf8(bytes);
}

std::string Detokenizer::flush() {
  return replace_invalid_utf8(std::exchange(held_, {}));
}

}  // namespace octavo::text
