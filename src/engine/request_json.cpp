#include "engine/request_json.h"

#include <charconv>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "engine/request_check.h"

namespace octavo {
namespace {

using Json = nlohmann::json;

Error wrong_type(std::string_view field, const char* expected, const Json& value) {
  return invalid_input("{}: {} expected, not {}", field, expected, value.type_name());
}

template <class Integer>
Result<Integer> read_integer(std::string_view field, const Json& value) {
  if (!value.is_number_integer()) return wrong_type(field, "an integer", value);
  const bool fits =
      value.is_number_unsigned()
          ? value.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<Integer>::max())
          : std::is_signed_v<Integer> &&
                value.get<int64_t>() >= static_cast<int64_t>(std::numeric_limits<Integer>::min());
  if (!fits) return invalid_input("{}: {} is out of range", field, value.dump());
  return value.get<Integer>();
}

Result<void> read(std::string_view field, const Json& value, float& out) {
  if (!value.is_number()) return wrong_type(field, "a number", value);
  const auto wide = value.get<double>();
  if (!(std::abs(wide) <= std::numeric_limits<float>::max())) {
    return invalid_input("{}: {} is out of range", field, value.dump());
  }
  out = static_cast<float>(wide);
  return {};
}

Result<void> read(std::string_view field, const Json& value, int32_t& out) {
  OCTAVO_ASSIGN(out, read_integer<int32_t>(field, value));
  return {};
}

Result<void> read(std::string_view field, const Json& value, bool& out) {
  if (!value.is_boolean()) return wrong_type(field, "true or false", value);
  out = value.get<bool>();
  return {};
}

Result<void> read(std::string_view field, const Json& value, std::optional<uint64_t>& out) {
  OCTAVO_ASSIGN(out, read_integer<uint64_t>(field, value));
  return {};
}

Result<void> read(std::string_view field, const Json& value, std::vector<std::string>& out) {
  out.clear();
  if (value.is_string()) {
    out.push_back(value.get<std::string>());
    return {};
  }
  if (!value.is_array()) return wrong_type(field, "a string or a list of strings", value);
  for (const Json& element : value) {
    if (!element.is_string()) return wrong_type(field, "a list of strings", element);
    out.push_back(element.get<std::string>());
  }
  return {};
}

Result<void> read(std::string_view field, const Json& value, std::vector<int32_t>& out) {
  if (!value.is_array()) return wrong_type(field, "a list of token ids", value);
  out.clear();
  for (const Json& element : value) {
    OCTAVO_ASSIGN(const int32_t id, read_integer<int32_t>(field, element));
    out.push_back(id);
  }
  return {};
}

Result<void> read(std::string_view field, const Json& value, std::vector<TokenBias>& out) {
  if (!value.is_object()) return wrong_type(field, "an object of token ids and biases", value);
  out.clear();
  for (const auto& [key, bias] : value.items()) {
    TokenBias entry;
    const char* end = key.data() + key.size();
    const auto parsed = std::from_chars(key.data(), end, entry.token);
    if (parsed.ec != std::errc() || parsed.ptr != end) {
      return invalid_input("{}: '{}' is not a token id", field, printable(key));
    }
    OCTAVO_TRY(read(field, bias, entry.bias));
    out.push_back(entry);
  }
  return {};
}

Result<std::string> read_text_member(const Json& object, const char* key, std::string_view where) {
  const auto found = object.find(key);
  if (found == object.end()) return invalid_input("{}: '{}' is missing", where, key);
  if (!found->is_string()) {
    return wrong_type(fmt::format("{}.{}", where, key), "a string", *found);
  }
  return found->get<std::string>();
}

}  // namespace

bool is_sampling_field(std::string_view name) {
  const SamplingParams params;
  bool found = false;
  visit_sampling(params, [&](const SamplingField& field, const auto&) {
    found = found || field.name == name;
  });
  return found;
}

bool is_beam_field(std::string_view name) {
  return name == "beam_width" || name == "length_penalty" || name == "early_stopping";
}

Result<void> read_beam(const Json& object, std::optional<BeamParams>& beam) {
  const auto member = [&object](const char* name) {
    const auto found = object.find(name);
    return found == object.end() || found->is_null() ? nullptr : &*found;
  };
  if (const Json* width = member("beam_width")) {
    if (!beam) beam.emplace();
    OCTAVO_TRY(read("beam_width", *width, beam->width));
  }
  for (const char* name : {"length_penalty", "early_stopping"}) {
    if (!beam && member(name) != nullptr) return invalid_input("{}: without beam_width", name);
  }
  if (const Json* penalty = member("length_penalty")) {
    OCTAVO_TRY(read("length_penalty", *penalty, beam->length_penalty));
  }
  if (const Json* early = member("early_stopping")) {
    if (early->is_boolean()) {
      beam->early_stopping = early->get<bool>() ? EarlyStopping::yes : EarlyStopping::no;
    } else if (*early == "never") {
      beam->early_stopping = EarlyStopping::never;
    } else {
      return wrong_type("early_stopping", "true, false or \"never\"", *early);
    }
  }
  return {};
}

Result<void> read_sampling(const Json& object, SamplingParams& params) {
  if (!object.is_object()) return invalid_input("a JSON object expected");
  Result<void> status;
  visit_sampling(params, [&](const SamplingField& field, auto& member) {
    const auto found = object.find(field.name);
    if (!status.ok() || found == object.end() || found->is_null()) return;
    status = read(field.name, *found, member);
  });
  OCTAVO_TRY(status);
  return check_sampling(params);
}

Result<std::vector<ChatMessage>> read_messages(const Json& list, std::string_view field) {
  if (!list.is_array() || list.empty()) {
    return invalid_input("{}: a list of at least one message expected", field);
  }
  std::vector<ChatMessage> messages;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string where = fmt::format("{}[{}]", field, i);
    if (!list[i].is_object()) return wrong_type(where, "an object", list[i]);
    ChatMessage message;
    OCTAVO_ASSIGN(message.role, read_text_member(list[i], "role", where));
    OCTAVO_ASSIGN(message.content, read_text_member(list[i], "content", where));
    messages.push_back(std::move(message));
  }
  return messages;
}

std::string_view finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::none:
      return "none";
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::cancelled:
      return "cancelled";
    case FinishReason::no_memory:
      return "no_memory";
  }
  return "none";
}

}  // namespace octavo
