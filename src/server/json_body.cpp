#include "server/json_body.h"

#include <algorithm>

#include "base/error.h"

namespace octavo::server {
namespace {

// The most brackets open at once, strings left out. Right for JSON; for other bytes any number.
size_t depth_of(std::string_view text) {
  size_t depth = 0;
  size_t most = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      most = std::max(most, ++depth);
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return most;
}

}  // namespace

Result<Json> parse_json_object(std::string_view body) {
  if (depth_of(body) > kMostJsonDepth) {
    return invalid_input("the body is JSON nested more than {} deep", kMostJsonDepth);
  }
  try {
    Json json = Json::parse(body);
    if (!json.is_object()) {
      return invalid_input("the body is {}, not a JSON object", json.type_name());
    }
    return json;
  } catch (const Json::parse_error& error) {
    if (error.byte > body.size()) return invalid_input("the body is JSON that ends too early");
    return invalid_input("the body is not JSON: byte {} is wrong", error.byte);
  } catch (const Json::out_of_range&) {
    return invalid_input("the body has a number that is too large");
  }
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace octavo::server
