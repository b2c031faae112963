#include "cli/prompts_file.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/utf8.h"
#include "engine/request_json.h"

namespace octavo::cli {
namespace {

using Json = nlohmann::json;

// More would be refused by the engine, request by request.
constexpr int64_t kMostOutputs = 128;
// The parser recurses; nothing that is understood here is deeper than "messages".
constexpr int kMostDepth = 16;

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r\v\f") == std::string_view::npos;
}

// JSON objects and arrays one inside the other, counted without parsing.
bool is_too_deep(std::string_view line) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMostDepth) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

Result<void> check_fields(const Json& object) {
  for (const auto& item : object.items()) {
    const std::string& key = item.key();
    if (key != "prompt" && key != "messages" && key != "n" && !is_sampling_field(key) &&
        !is_beam_field(key)) {
      return invalid_input("unknown field '{}'", printable(key));
    }
  }
  if (object.contains("prompt") == object.contains("messages")) {
    return invalid_input("'prompt' or 'messages' expected, and not both");
  }
  return {};
}

Result<int32_t> read_outputs(const Json& value) {
  if (!value.is_number_integer()) return invalid_input("n: an integer expected");
  const bool fits = value.is_number_unsigned() ? value.get<uint64_t>() <= kMostOutputs
                                               : value.get<int64_t>() >= 1;
  if (!fits || value == 0) {
    return invalid_input("n: {} is not between 1 and {}", value.dump(), kMostOutputs);
  }
  return value.get<int32_t>();
}

Result<Prompt> parse_object(std::string_view line, const Prompt& defaults) {
  if (is_too_deep(line)) return invalid_input("JSON that is nested too deeply");
  const Json object = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return invalid_input("not a JSON object");
  OCTAVO_TRY(check_fields(object));
  Prompt prompt = defaults;
  if (object.contains("messages")) {
    OCTAVO_ASSIGN(prompt.messages, read_messages(object["messages"], "messages"));
  } else {
    if (!object["prompt"].is_string()) return invalid_input("prompt: a string expected");
    prompt.text = object["prompt"].get<std::string>();
  }
  if (object.contains("n") && !object["n"].is_null()) {
    OCTAVO_ASSIGN(prompt.outputs, read_outputs(object["n"]));
  }
  OCTAVO_TRY(read_sampling(object, prompt.sampling));
  OCTAVO_TRY(read_beam(object, prompt.beam));
  return prompt;
}

Result<Prompt> parse_text(std::string_view line, const Prompt& defaults) {
  if (replace_invalid_utf8(line) != line) return invalid_input("not UTF-8");
  Prompt prompt = defaults;
  prompt.text = line;
  return prompt;
}

}  // namespace

Result<std::vector<Prompt>> parse_prompts(std::string_view name, std::string_view content,
                                          const Prompt& defaults) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (content.starts_with(kByteOrderMark)) content.remove_prefix(kByteOrderMark.size());
  const size_t first = content.find_first_not_of(" \t\r\n\v\f");
  const bool is_json = first != std::string_view::npos && content[first] == '{';
  std::vector<Prompt> prompts;
  size_t number = 0;
  while (!content.empty()) {
    const size_t end = std::min(content.find('\n'), content.size());
    std::string_view line = content.substr(0, end);
    content.remove_prefix(std::min(end + 1, content.size()));
    number += 1;
    if (is_blank(line)) continue;
    if (line.ends_with('\r')) line.remove_suffix(1);
    Result<Prompt> prompt = is_json ? parse_object(line, defaults) : parse_text(line, defaults);
    if (!prompt) {
      return Error{prompt.error().kind,
                   fmt::format("{}:{}: {}", name, number, prompt.error().message)};
    }
    prompts.push_back(std::move(prompt).value());
  }
  if (prompts.empty()) return invalid_input("{}: no prompts", name);
  return prompts;
}

}  // namespace octavo::cli
