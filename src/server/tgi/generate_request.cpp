#include "server/tgi/generate_request.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "server/neighbour.h"

namespace octavo::server {
namespace {

constexpr std::array kNames = {
    ParameterName{"max_new_tokens", "max_tokens"},
    ParameterName{"temperature", "temperature"},
    ParameterName{"top_k", "top_k"},
    ParameterName{"top_p", "top_p"},
    ParameterName{"typical_p", "typical_p"},
    ParameterName{"repetition_penalty", "repetition_penalty"},
    ParameterName{"frequency_penalty", "frequency_penalty"},
    ParameterName{"stop", "stop"},
};

Result<void> read_sampling_of(Fields& fields, TgiRequest& tgi) {
  SamplingParams& sampling = tgi.request.sampling;
  sampling.max_tokens = 100;
  OCTAVO_TRY(read_renamed(fields, kNames, sampling));
  if (sampling.max_tokens < 1) return invalid_input("max_new_tokens: it must be positive");
  OCTAVO_ASSIGN(const bool do_sample, fields.flag("do_sample", false));
  tgi.samples = do_sample || sampling.temperature != 1.0F || sampling.top_k != 0 ||
                sampling.top_p < 1.0F || sampling.typical_p < 1.0F;
  if (!tgi.samples) sampling.temperature = 0.0F;
  OCTAVO_ASSIGN(sampling.seed, read_seed(fields, "seed"));
  return {};
}

Result<void> read_details(Fields& fields, TgiRequest& tgi) {
  OCTAVO_ASSIGN(tgi.details, fields.flag("details", false));
  OCTAVO_ASSIGN(tgi.prefill, fields.flag("decoder_input_details", false));
  if (tgi.prefill && tgi.stream) {
    return invalid_input("decoder_input_details: not with a stream");
  }
  OCTAVO_ASSIGN(tgi.return_full_text, fields.flag("return_full_text", false));
  OCTAVO_ASSIGN(const int64_t top, fields.integer("top_n_tokens", 0, 100, 0));
  tgi.top_tokens = static_cast<int32_t>(top);
  return {};
}

Result<void> read_parameters(Fields& fields, TgiRequest& tgi) {
  OCTAVO_TRY(fields.refuse_all({"watermark", "grammar", "adapter_id"}));
  OCTAVO_TRY(read_sampling_of(fields, tgi));
  OCTAVO_TRY(read_details(fields, tgi));
  OCTAVO_ASSIGN(const int64_t best_of, fields.integer("best_of", 1, 128, 1));
  if (best_of > 1 && tgi.stream) {
    return invalid_input("best_of: the best is known at the end only: not with a stream");
  }
  if (best_of > 1 && !tgi.samples)
    return invalid_input("best_of: all are the same without do_sample");
  tgi.request.outputs = static_cast<int32_t>(best_of);
  // Tokens are told with their log probabilities, and the best outputs are those of the highest.
  tgi.request.sampling.logprobs = tgi.top_tokens;
  return {};
}

// The last `truncate` tokens of the prompt.
Result<void> truncate(Fields& fields, std::vector<int32_t>& prompt) {
  OCTAVO_ASSIGN(const int64_t most, fields.integer("truncate", 1, INT32_MAX, INT32_MAX));
  const auto size = static_cast<int64_t>(prompt.size());
  if (size > most) prompt.erase(prompt.begin(), prompt.end() - most);
  return {};
}

}  // namespace

Result<TgiRequest> read_tgi_request(const Json& body, Fields& fields, const Engine& engine) {
  TgiRequest tgi;
  if (!body.contains("inputs")) return invalid_input("inputs: it is missing");
  OCTAVO_ASSIGN(tgi.inputs, fields.text("inputs", ""));
  if (tgi.inputs.empty()) return invalid_input("inputs: it is empty");
  OCTAVO_ASSIGN(tgi.stream, fields.flag("stream", false));
  const Json* parameters = fields.find("parameters");
  const Json none = Json::object();
  if (parameters != nullptr && !parameters->is_object()) {
    return invalid_input("parameters: an object expected, not {}", parameters->type_name());
  }
  Fields members(parameters != nullptr ? *parameters : none);
  OCTAVO_TRY(read_parameters(members, tgi));
  OCTAVO_ASSIGN(tgi.request.prompt, engine.tokenize(tgi.inputs, {}));
  OCTAVO_TRY(truncate(members, tgi.request.prompt));
  tgi.unknown = fields.unknown();
  for (const std::string& name : members.unknown()) tgi.unknown.push_back("parameters." + name);
  return tgi;
}

}  // namespace octavo::server
