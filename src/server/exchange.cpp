#include "server/exchange.h"

#include <boost/algorithm/string/predicate.hpp>

namespace octavo::server {

Usage& Usage::operator+=(const Usage& more) {
  prompt_tokens += more.prompt_tokens;
  cached_tokens += more.cached_tokens;
  generated_tokens += more.generated_tokens;
  return *this;
}

std::optional<std::string_view> HttpRequest::header(std::string_view name) const {
  for (const auto& [field, value] : headers) {
    if (boost::algorithm::iequals(field, name)) return value;
  }
  return std::nullopt;
}

}  // namespace octavo::server
