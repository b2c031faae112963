// A request's body as a JSON object. Plain functions, any thread.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "octavo/result.h"

namespace octavo::server {

using Json = nlohmann::ordered_json;

// Deeper ones are refused: what reads or writes JSON recurses.
inline constexpr size_t kMostJsonDepth = 64;

// Objects keep their members in order, and each new one is compared with all before it: 5,000 of
// them are much more than any field has use for.
inline constexpr size_t kMostJsonComparisons = size_t{1} << 24;

// Errors say where it is not JSON, or that it is no object, or too deep or wide.
Result<Json> parse_json_object(std::string_view body);

// As text, on one line; bytes that are not UTF-8 become U+FFFD.
std::string dump(const Json& json);

}  // namespace octavo::server
