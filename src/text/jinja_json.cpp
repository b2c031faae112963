#include "text/jinja_json.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "base/utf8.h"

namespace octavo::text::jinja {
namespace {

Value convert(Runtime& runtime, const nlohmann::ordered_json& json, int depth) {
  using Kind = nlohmann::ordered_json::value_t;
  if (depth > max_value_depth) {
    runtime.fail("lists and dicts nest deeper than {} levels", max_value_depth);
  }
  switch (json.type()) {
    case Kind::boolean:
      return Value(json.get<bool>());
    case Kind::number_integer:
      return Value(json.get<int64_t>());
    case Kind::number_unsigned: {
      const auto number = json.get<uint64_t>();
      if (number <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        return Value(static_cast<int64_t>(number));
      }
      return Value(static_cast<double>(number));
    }
    case Kind::number_float:
      return Value(json.get<double>());
    case Kind::string:
      return runtime.string(replace_invalid_utf8(json.get_ref<const std::string&>()));
    case Kind::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const auto& item : json) items.push_back(convert(runtime, item, depth + 1));
      return runtime.list(std::move(items));
    }
    case Kind::object: {
      Entries entries;
      for (const auto& [key, item] : json.items()) {
        entries.emplace_back(runtime.string(replace_invalid_utf8(key)),
                             convert(runtime, item, depth + 1));
      }
      return runtime.dict(std::move(entries));
    }
    case Kind::null:
    case Kind::binary:
    case Kind::discarded:
      break;
  }
  return Value(None{});
}

}  // namespace

Value from_json(Runtime& runtime, const nlohmann::ordered_json& json) {
  return convert(runtime, json, 1);
}

}  // namespace octavo::text::jinja
