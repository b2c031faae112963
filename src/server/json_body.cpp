#include "server/json_body.h"

#include <algorithm>
#include <vector>

#include "base/error.h"

namespace octavo::server {
namespace {

// What the parser will have to do with a text. Right for JSON; for other bytes anything.
struct Shape {
  size_t depth = 0;        // the most brackets open at once, those in strings left out
  size_t comparisons = 0;  // of a member's name with those before it in its object
};

Shape shape_of(std::string_view text) {
  Shape shape;
  std::vector<size_t> commas;  // of each bracket that is open
  bool in_string = false;
  for (size_t i = 0; i < text.size() && commas.size() <= kMostJsonDepth; ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      commas.push_back(0);
      shape.depth = std::max(shape.depth, commas.size());
    } else if ((c == ']' || c == '}') && !commas.empty()) {
      commas.pop_back();
    } else if (c == ':' && !commas.empty()) {
      shape.comparisons += commas.back();
    } else if (c == ',' && !commas.empty()) {
      ++commas.back();
    }
  }
  return shape;
}

}  // namespace

Result<Json> parse_json_object(std::string_view body) {
  const Shape shape = shape_of(body);
  if (shape.depth > kMostJsonDepth) {
    return invalid_input("the body is JSON nested more than {} deep", kMostJsonDepth);
  }
  if (shape.comparisons > kMostJsonComparisons) {
    return invalid_input("the body has objects of too many members");
  }
  try {
    Json json = Json::parse(body);
    if (!json.is_object()) {
      return invalid_input("the body: a JSON object expected, not {}", json.type_name());
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
