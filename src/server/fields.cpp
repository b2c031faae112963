#include "server/fields.h"

#include <algorithm>

#include "base/error.h"

namespace octavo::server {
namespace {

Error wrong_type(std::string_view name, const char* expected, const Json& value) {
  return invalid_input("{}: {} expected, not {}", name, expected, value.type_name());
}

bool says_nothing(const Json& value) {
  if (value.is_boolean()) return !value.get<bool>();
  if (value.is_string()) return value.get_ref<const std::string&>().empty();
  return value.is_structured() && value.empty();
}

}  // namespace

const Json* Fields::find(std::string_view name) {
  known_.emplace(name);
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

Result<bool> Fields::flag(std::string_view name, bool fallback) {
  const Json* value = find(name);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) return wrong_type(name, "true or false", *value);
  return value->get<bool>();
}

Result<std::string> Fields::text(std::string_view name, std::string_view fallback) {
  const Json* value = find(name);
  if (value == nullptr) return std::string(fallback);
  if (!value->is_string()) return wrong_type(name, "a string", *value);
  return value->get<std::string>();
}

Result<int64_t> Fields::integer(std::string_view name, int64_t minimum, int64_t maximum,
                                int64_t fallback) {
  const Json* value = find(name);
  if (value == nullptr) return fallback;
  if (!value->is_number_integer()) return wrong_type(name, "an integer", *value);
  const bool is_huge =
      value->is_number_unsigned() && value->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX);
  if (is_huge || value->get<int64_t>() < minimum || value->get<int64_t>() > maximum) {
    return invalid_input("{}: {} is not in [{}, {}]", name, value->dump(), minimum, maximum);
  }
  return value->get<int64_t>();
}

Result<void> Fields::refuse(std::string_view name, const std::vector<Json>& harmless) {
  const Json* value = find(name);
  if (value == nullptr) return {};
  if (harmless.empty()) {
    if (says_nothing(*value)) return {};
    return invalid_input("{}: not supported yet", name);
  }
  if (std::find(harmless.begin(), harmless.end(), *value) != harmless.end()) return {};
  return invalid_input("{}: only {} is supported yet", name, dump(harmless.front()));
}

Result<void> Fields::refuse_all(const std::vector<std::string_view>& names) {
  for (const std::string_view name : names) OCTAVO_TRY(refuse(name));
  return {};
}

std::vector<std::string> Fields::unknown() const {
  std::vector<std::string> names;
  for (const auto& [name, value] : object_.items()) {
    if (!known_.contains(name)) names.push_back(name);
  }
  return names;
}

Error rename_field(const Error& error, std::string_view from, std::string_view to) {
  const std::string prefix = std::string(from) + ": ";
  if (!error.message.starts_with(prefix)) return error;
  return {error.kind, std::string(to) + ": " + error.message.substr(prefix.size())};
}

}  // namespace octavo::server
