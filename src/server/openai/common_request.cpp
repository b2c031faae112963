#include "server/openai/common_request.h"

#include "base/error.h"
#include "engine/request_json.h"

namespace octavo::server {
namespace {

constexpr int64_t kMostOutputs = 128;

Result<void> check_model(Fields& fields, std::string_view model) {
  OCTAVO_ASSIGN(const std::string wanted, fields.text("model", ""));
  if (wanted.empty() || wanted == model) return {};
  return not_found("model: '{}' is not here; this is '{}'", printable(wanted), model);
}

// The sampling parameters as read_sampling knows them, where the APIs differ in name or range.
Result<nlohmann::json> sampling_of(Fields& fields) {
  nlohmann::json sampling = nlohmann::json::object();
  SamplingParams params;
  visit_sampling(params, [&](const SamplingField& field, const auto&) {
    const std::string_view name = field.name;
    if (name == "max_tokens" || name == "logprobs") return;  // each API has its own
    if (const Json* value = fields.find(name)) sampling[field.name] = *value;
  });
  if (const Json* value = fields.find("repeat_penalty");
      value && !sampling.contains("repetition_penalty")) {
    sampling["repetition_penalty"] = *value;
  }
  // vLLM's word for all.
  if (sampling.contains("top_k") && sampling["top_k"] == -1) sampling["top_k"] = 0;
  if (sampling.contains("seed") && sampling["seed"].is_number_integer() &&
      !sampling["seed"].is_number_unsigned()) {
    sampling["seed"] = static_cast<uint64_t>(sampling["seed"].get<int64_t>());
  }
  return sampling;
}

// A search with vLLM's flag has as many beams as outputs; or with our own fields.
Result<void> read_search(Fields& fields, Request& request) {
  OCTAVO_ASSIGN(const bool search, fields.flag("use_beam_search", false));
  nlohmann::json beam = nlohmann::json::object();
  for (const char* name : {"beam_width", "length_penalty", "early_stopping"}) {
    if (const Json* value = fields.find(name)) beam[name] = *value;
  }
  if (search && !beam.contains("beam_width")) beam["beam_width"] = request.outputs;
  return read_beam(beam, request.beam);
}

Result<void> read_stream(Fields& fields, CommonRequest& common) {
  OCTAVO_ASSIGN(common.stream, fields.flag("stream", false));
  const Json* options = fields.find("stream_options");
  if (options == nullptr) return {};
  if (!common.stream) return invalid_input("stream_options: only with stream");
  if (!options->is_object()) return invalid_input("stream_options: an object expected");
  Fields members(*options);
  const Result<bool> usage = members.flag("include_usage", false);
  if (!usage) return invalid_input("stream_options.{}", usage.error().message);
  common.include_usage = *usage;
  return {};
}

Result<void> refuse_what_is_not_there(Fields& fields) {
  OCTAVO_TRY(fields.refuse({"tools", "functions", "audio", "prediction", "web_search_options",
                            "guided_json", "guided_regex", "guided_choice", "guided_grammar",
                            "structured_outputs", "grammar", "json_schema", "logits_processors"}));
  for (const char* name : {"tool_choice", "function_call"}) {
    const Json* value = fields.find(name);
    if (value != nullptr && *value != "none" && *value != "auto") {
      return invalid_input("{}: not supported yet", name);
    }
  }
  if (const Json* format = fields.find("response_format")) {
    if (!format->is_object() || format->value("type", Json()) != "text") {
      return invalid_input("response_format: only {{\"type\": \"text\"}} is supported yet");
    }
  }
  if (const Json* modalities = fields.find("modalities")) {
    if (*modalities != Json::array({"text"})) {
      return invalid_input("modalities: only [\"text\"] is supported yet");
    }
  }
  return {};
}

}  // namespace

Result<CommonRequest> read_common(Fields& fields, std::string_view model) {
  OCTAVO_TRY(check_model(fields, model));
  OCTAVO_TRY(refuse_what_is_not_there(fields));
  CommonRequest common;
  Request& request = common.request;
  OCTAVO_TRY(read_stream(fields, common));
  OCTAVO_ASSIGN(const nlohmann::json sampling, sampling_of(fields));
  request.sampling.max_tokens = 0;  // until it is read
  OCTAVO_TRY(read_sampling(sampling, request.sampling));
  OCTAVO_ASSIGN(const int64_t outputs, fields.integer("n", 1, kMostOutputs, 1));
  request.outputs = static_cast<int32_t>(outputs);
  OCTAVO_TRY(read_search(fields, request));
  OCTAVO_ASSIGN(request.cache_salt, fields.text("cache_salt", ""));
  OCTAVO_ASSIGN(const int64_t priority, fields.integer("priority", INT32_MIN, INT32_MAX, 0));
  request.priority = static_cast<int32_t>(priority);
  OCTAVO_ASSIGN(const int64_t cache_priority, fields.integer("cache_priority", 0, 3, 1));
  request.cache_priority = static_cast<int32_t>(cache_priority);
  OCTAVO_ASSIGN(request.cache_ttl_seconds,
                fields.integer("cache_ttl_seconds", 0, INT64_MAX / 1000, 0));
  fields.find("user");  // names the person to the provider; there is none here
  return common;
}

}  // namespace octavo::server
