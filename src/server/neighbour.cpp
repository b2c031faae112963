#include "server/neighbour.h"

#include <utility>

#include "base/error.h"
#include "engine/request_json.h"

namespace octavo::server {
namespace {

// "top_p: 2 is not in ..." under the name that the client knows.
Error renamed(Error error, const ParameterName& name) {
  const std::string_view ours = name.ours;
  if (error.message.starts_with(ours)) error.message.replace(0, ours.size(), name.theirs);
  return error;
}

}  // namespace

Result<void> read_renamed(Fields& fields, std::span<const ParameterName> names,
                          SamplingParams& params) {
  for (const ParameterName& name : names) {
    const Json* value = fields.find(name.theirs);
    if (value == nullptr) continue;
    const Result<void> status = read_sampling({{name.ours, *value}}, params);
    if (!status) return renamed(status.error(), name);
  }
  return {};
}

Result<std::optional<uint64_t>> read_seed(Fields& fields, std::string_view name) {
  OCTAVO_ASSIGN(const int64_t seed, fields.integer(name, INT64_MIN, INT64_MAX, -1));
  if (seed < 0) return std::optional<uint64_t>();
  return std::optional(static_cast<uint64_t>(seed));
}

Result<void> refuse_others(Fields& fields, std::span<const NeutralValue> neutral) {
  for (const NeutralValue& field : neutral) {
    const Json* value = fields.find(field.name);
    if (value == nullptr || *value == field.value) continue;
    return invalid_input("{}: not supported yet; only {}, which changes nothing", field.name,
                         field.value);
  }
  return {};
}

void know(Fields& fields, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) fields.find(name);
}

std::string stop_string_of(const Engine& engine, const std::vector<TokenInfo>& tokens,
                           const std::vector<std::string>& stops) {
  std::vector<int32_t> ids;
  ids.reserve(tokens.size());
  for (const TokenInfo& token : tokens) ids.push_back(token.token);
  const Result<std::string> text = engine.detokenize(ids);
  if (!text) return {};
  size_t first = std::string::npos;
  std::string found;
  for (const std::string& stop : stops) {
    const size_t at = text->find(stop);
    if (at < first) {
      first = at;
      found = stop;
    }
  }
  return found;
}

}  // namespace octavo::server
