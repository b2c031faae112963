#include "server/openai/common_request.h"

#include "base/error.h"
#include "engine/request_json.h"

namespace octavo::server {
namespace {

constexpr int64_t kMostOutputs = 128;
constexpr int64_t kMostLogprobs = int64_t{4} << 20;

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
  for (const std::string& name : members.unknown()) {
    common.unknown.push_back("stream_options." + name);
  }
  return {};
}

// What OpenAI, vLLM and llama.cpp know and we do not yet. To ignore it would give another answer
// than the one that was asked for.
Result<void> refuse_what_is_not_there(Fields& fields) {
  for (const char* name : {"tools",
                           "functions",
                           "audio",
                           "moderation",
                           "prediction",
                           "web_search_options",
                           "guided_json",
                           "guided_regex",
                           "guided_choice",
                           "guided_grammar",
                           "structured_outputs",
                           "structural_tag",
                           "grammar",
                           "json_schema",
                           "logits_processors",
                           "bad_words",
                           "allowed_token_ids",
                           "prompt_logprobs",
                           "prompt_embeds",
                           "truncate_prompt_tokens",
                           "include_stop_str_in_output",
                           "return_tokens_as_token_ids",
                           "return_token_ids",
                           "lora"}) {
    OCTAVO_TRY(fields.refuse(name));
  }
  for (const char* name : {"mirostat", "dynatemp_range", "xtc_probability", "dry_multiplier"}) {
    OCTAVO_TRY(fields.refuse(name, {0}));
  }
  OCTAVO_TRY(fields.refuse("top_n_sigma", {-1, 0}));
  OCTAVO_TRY(fields.refuse("skip_special_tokens", {true}));
  OCTAVO_TRY(fields.refuse("tool_choice", {"none", "auto"}));
  OCTAVO_TRY(fields.refuse("function_call", {"none", "auto"}));
  OCTAVO_TRY(fields.refuse("modalities", {Json::array({"text"})}));
  OCTAVO_TRY(fields.refuse("response_format", {Json::object({{"type", "text"}})}));
  return fields.refuse("verbosity", {"medium"});
}

}  // namespace

Result<void> check_model(Fields& fields, std::string_view model) {
  OCTAVO_ASSIGN(const std::string wanted, fields.text("model", ""));
  if (wanted.empty() || wanted == model) return {};
  return not_found("model: '{}' is not here; this is '{}'", printable(wanted), model);
}

Result<void> check_logprobs(int64_t tokens, int32_t alternatives) {
  if (alternatives < 0 || tokens <= kMostLogprobs / (alternatives + 1)) return {};
  return invalid_input(
      "logprobs: up to {} tokens with {} alternatives each are more than {} log probabilities; "
      "ask for fewer tokens, outputs or alternatives",
      tokens, alternatives, kMostLogprobs);
}

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
