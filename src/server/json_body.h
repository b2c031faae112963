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

// Errors say where it is not JSON, or that it is no object, or too deep.
Result<Json> parse_json_object(std::string_view body);

// As text, on one line; bytes that are not UTF-8 become U+FFFD.
std::string dump(const Json& json);

}  // namespace octavo::server
