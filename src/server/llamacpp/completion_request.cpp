#include "server/llamacpp/completion_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/error.h"
#include "server/neighbour.h"

namespace octavo::server {
namespace {

constexpr size_t kMostPrompts = 1024;
constexpr float kNever = -1e9F;  // a bias that no logit makes up for

constexpr std::array kNames = {
    ParameterName{"top_k", "top_k"},
    ParameterName{"top_p", "top_p"},
    ParameterName{"min_p", "min_p"},
    ParameterName{"typical_p", "typical_p"},
    ParameterName{"repeat_penalty", "repetition_penalty"},
    ParameterName{"presence_penalty", "presence_penalty"},
    ParameterName{"frequency_penalty", "frequency_penalty"},
    ParameterName{"ignore_eos", "ignore_eos"},
    ParameterName{"stop", "stop"},
};

constexpr std::array kNeutral = {
    NeutralValue{"dynatemp_range", 0},  NeutralValue{"dry_multiplier", 0},
    NeutralValue{"xtc_probability", 0}, NeutralValue{"mirostat", 0},
    NeutralValue{"n_indent", 0},        NeutralValue{"t_max_predict_ms", 0},
    NeutralValue{"min_keep", 0},        NeutralValue{"top_n_sigma", -1},
    NeutralValue{"n_cache_reuse", 0},
};

Result<std::vector<int32_t>> tokens_of(const Json& text, const Engine& engine, bool is_first) {
  return engine.tokenize(text.get_ref<const std::string&>(),
                         {.add_special = is_first, .parse_special = true});
}

Result<int32_t> token_id(const Json& id, const std::string& where) {
  const bool fits = id.is_number_unsigned() && id.get<uint64_t>() <= INT32_MAX;
  if (!fits) return invalid_input("{}: {} is not a token id", where, printable(dump(id)));
  return id.get<int32_t>();
}

// Token ids and texts, in turn.
Result<std::vector<int32_t>> read_mixed(const Json& list, const std::string& where,
                                        const Engine& engine) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i].is_string()) {
      OCTAVO_ASSIGN(const auto more, tokens_of(list[i], engine, i == 0));
      ids.insert(ids.end(), more.begin(), more.end());
    } else {
      OCTAVO_ASSIGN(const int32_t id, token_id(list[i], fmt::format("{}[{}]", where, i)));
      ids.push_back(id);
    }
  }
  return ids;
}

Result<std::vector<int32_t>> read_prompt(const Json& prompt, const std::string& where,
                                         const Engine& engine) {
  if (prompt.is_string()) return tokens_of(prompt, engine, true);
  if (prompt.is_array()) return read_mixed(prompt, where, engine);
  if (!prompt.is_object()) {
    return invalid_input("{}: a string or a list of tokens expected, not {}", where,
                         prompt.type_name());
  }
  const auto data = prompt.find("multimodal_data");
  if (data != prompt.end() && !data->empty()) {
    return invalid_input("{}.multimodal_data: not supported yet", where);
  }
  const auto text = prompt.find("prompt_string");
  if (text == prompt.end() || !text->is_string()) {
    return invalid_input("{}.prompt_string: a string expected", where);
  }
  return tokens_of(*text, engine, true);
}

// A list is one prompt when it has a number, and when it is empty; otherwise each element is one.
Result<void> read_prompts(Fields& fields, const Engine& engine, LlamaCppRequest& completion) {
  const Json* prompt = fields.find("prompt");
  if (prompt == nullptr) return invalid_input("prompt: it is missing");
  completion.is_list =
      prompt->is_array() && !prompt->empty() &&
      std::none_of(prompt->begin(), prompt->end(), [](const Json& p) { return p.is_number(); });
  if (!completion.is_list) {
    OCTAVO_ASSIGN(auto ids, read_prompt(*prompt, "prompt", engine));
    completion.prompts.push_back(std::move(ids));
    return {};
  }
  if (prompt->size() > kMostPrompts) {
    return invalid_input("prompt: {} are more than {}", prompt->size(), kMostPrompts);
  }
  for (size_t i = 0; i < prompt->size(); ++i) {
    OCTAVO_ASSIGN(auto ids, read_prompt((*prompt)[i], fmt::format("prompt[{}]", i), engine));
    completion.prompts.push_back(std::move(ids));
  }
  return {};
}

// Of a token, or of all tokens of a text.
Result<void> add_bias(const Json& what, const Json& bias, const Engine& engine,
                      std::vector<TokenBias>& biases) {
  const bool is_never = bias.is_boolean() && !bias.get<bool>();
  if (!is_never && !bias.is_number()) {
    return invalid_input("logit_bias: a number or false expected, not {}", bias.type_name());
  }
  const float value = is_never ? kNever : bias.get<float>();
  if (!what.is_string()) {
    OCTAVO_ASSIGN(const int32_t id, token_id(what, "logit_bias"));
    biases.push_back({id, value});
    return {};
  }
  const auto& text = what.get_ref<const std::string&>();
  OCTAVO_ASSIGN(const auto ids, engine.tokenize(text, {.add_special = false}));
  for (const int32_t id : ids) biases.push_back({id, value});
  return {};
}

// [[token or text, bias], ...] or {"token or text": bias, ...}.
Result<void> read_bias(Fields& fields, const Engine& engine, std::vector<TokenBias>& biases) {
  const Json* value = fields.find("logit_bias");
  if (value == nullptr) return {};
  if (value->is_object()) {
    for (const auto& [key, bias] : value->items()) {
      uint32_t id = 0;
      const char* end = key.data() + key.size();
      const auto parsed = std::from_chars(key.data(), end, id);
      const bool is_id = parsed.ec == std::errc() && parsed.ptr == end;
      OCTAVO_TRY(add_bias(is_id ? Json(id) : Json(key), bias, engine, biases));
    }
    return {};
  }
  if (!value->is_array()) return invalid_input("logit_bias: a list or an object expected");
  for (const Json& pair : *value) {
    if (!pair.is_array() || pair.size() != 2) {
      return invalid_input("logit_bias: pairs of a token and a bias expected");
    }
    OCTAVO_TRY(add_bias(pair[0], pair[1], engine, biases));
  }
  return {};
}

Result<void> read_limits(Fields& fields, SamplingParams& sampling) {
  const char* name = fields.find("n_predict") != nullptr ? "n_predict" : "max_tokens";
  OCTAVO_ASSIGN(const int64_t tokens, fields.integer(name, -2, INT32_MAX, -1));
  if (tokens == 0) return invalid_input("{}: 0 generates nothing: not supported", name);
  sampling.max_tokens = static_cast<int32_t>(std::max<int64_t>(tokens, 0));
  OCTAVO_ASSIGN(const int64_t probabilities, fields.integer("n_probs", 0, 100, 0));
  sampling.logprobs = probabilities == 0 ? -1 : static_cast<int32_t>(probabilities);
  return {};
}

// Below 0, too, it is always the most probable token.
Result<void> read_temperature(Fields& fields, SamplingParams& sampling) {
  const Json* value = fields.find("temperature");
  if (value != nullptr && value->is_number() && value->get<double>() < 0) {
    sampling.temperature = 0;
    return {};
  }
  constexpr std::array kTemperature = {ParameterName{"temperature", "temperature"}};
  return read_renamed(fields, kTemperature, sampling);
}

// llama.cpp writes no seed as the largest 32-bit number, too.
Result<void> read_seed_of(Fields& fields, SamplingParams& sampling) {
  OCTAVO_ASSIGN(sampling.seed, read_seed(fields, "seed"));
  if (sampling.seed == UINT32_MAX) sampling.seed.reset();
  return {};
}

}  // namespace

SamplingParams llamacpp_defaults() {
  return {.temperature = 0.8F, .top_k = 40, .top_p = 0.95F, .min_p = 0.05F, .max_tokens = 0};
}

Result<LlamaCppRequest> read_llamacpp_request(Fields& fields, const Engine& engine,
                                              const std::string& id) {
  LlamaCppRequest completion;
  Request& request = completion.request;
  request.sampling = llamacpp_defaults();
  OCTAVO_TRY(fields.refuse_all({"grammar", "json_schema", "lora", "response_fields", "image_data",
                                "post_sampling_probs", "return_progress"}));
  OCTAVO_TRY(refuse_others(fields, kNeutral));
  OCTAVO_TRY(read_limits(fields, request.sampling));
  OCTAVO_TRY(read_temperature(fields, request.sampling));
  OCTAVO_TRY(read_renamed(fields, kNames, request.sampling));
  OCTAVO_TRY(read_seed_of(fields, request.sampling));
  OCTAVO_TRY(read_bias(fields, engine, request.sampling.logit_bias));
  OCTAVO_ASSIGN(const int64_t outputs, fields.integer("n_cmpl", 1, 128, 1));
  request.outputs = static_cast<int32_t>(outputs);
  OCTAVO_ASSIGN(const bool use_cache, fields.flag("cache_prompt", true));
  if (!use_cache) {
    request.cache_salt = id;
    request.cache_priority = 0;
  }
  OCTAVO_ASSIGN(completion.stream, fields.flag("stream", false));
  OCTAVO_ASSIGN(completion.return_tokens, fields.flag("return_tokens", false));
  OCTAVO_ASSIGN(completion.timings_per_token, fields.flag("timings_per_token", false));
  OCTAVO_TRY(read_prompts(fields, engine, completion));
  // The penalties look at everything, the filters have one order, nothing is ever shifted out, and
  // any free place will do.
  know(fields,
       {"repeat_last_n", "samplers", "n_keep", "n_discard", "id_slot", "model", "dynatemp_exponent",
        "dry_base", "dry_allowed_length", "dry_penalty_last_n", "dry_sequence_breakers",
        "xtc_threshold", "mirostat_tau", "mirostat_eta", "sse_ping_interval", "penalize_nl"});
  completion.unknown = fields.unknown();
  return completion;
}

}  // namespace octavo::server
