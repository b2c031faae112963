#include "engine/request_check.h"

#include <cmath>
#include <random>
#include <type_traits>

#include "base/error.h"
#include "kv/group.h"

namespace octavo {
namespace {

constexpr int32_t kMaxOutputs = 128;
constexpr int32_t kMaxBeamWidth = 16;
constexpr size_t kMaxLogitBias = 4096;
constexpr size_t kMaxStopTokens = 1024;
constexpr size_t kMaxSaltBytes = 256;
constexpr int64_t kMaxCacheTtlSeconds = int64_t{10} * 365 * 24 * 3600;

Result<void> check_token(const char* field, int32_t token, const ModelInfo& info) {
  if (token >= 0 && token < info.vocabulary) return {};
  return invalid_input("{}: {} is not a token id of a vocabulary of {}", field, token,
                       info.vocabulary);
}

Result<void> check_lists(const SamplingParams& params, const ModelInfo& info) {
  if (params.logit_bias.size() > kMaxLogitBias) {
    return invalid_input("logit_bias: {} entries are more than {}", params.logit_bias.size(),
                         kMaxLogitBias);
  }
  if (params.stop_token_ids.size() > kMaxStopTokens) {
    return invalid_input("stop_token_ids: {} entries are more than {}",
                         params.stop_token_ids.size(), kMaxStopTokens);
  }
  for (const TokenBias& entry : params.logit_bias) {
    OCTAVO_TRY(check_token("logit_bias", entry.token, info));
    if (!std::isfinite(entry.bias)) {
      return invalid_input("logit_bias: the bias of token {} is not a finite number", entry.token);
    }
  }
  for (const int32_t token : params.stop_token_ids) {
    OCTAVO_TRY(check_token("stop_token_ids", token, info));
  }
  return {};
}

template <class Number>
Result<void> check_range(const SamplingField& field, Number value) {
  const auto wide = static_cast<double>(value);
  const bool above = field.minimum_allowed ? wide >= field.minimum : wide > field.minimum;
  if (above && wide <= field.maximum) return {};  // false for a value that is not a number
  return invalid_input("{}: {} is not in {}{}, {}]", field.name, value,
                       field.minimum_allowed ? "[" : "(", field.minimum, field.maximum);
}

Result<void> check_cache_use(const Request& request) {
  if (request.cache_salt.size() > kMaxSaltBytes) {
    return invalid_input("cache_salt: {} bytes are more than {}", request.cache_salt.size(),
                         kMaxSaltBytes);
  }
  if (request.cache_priority < 0 || request.cache_priority >= kCachePriorities) {
    return invalid_input("cache_priority: {} is not in [0, {}]", request.cache_priority,
                         kCachePriorities - 1);
  }
  if (request.cache_ttl_seconds < 0 || request.cache_ttl_seconds > kMaxCacheTtlSeconds) {
    return invalid_input("cache_ttl_seconds: {} is not in [0, {}]", request.cache_ttl_seconds,
                         kMaxCacheTtlSeconds);
  }
  return {};
}

// What a beam search does not do with the probabilities it compares.
Result<void> check_beam(const Request& request) {
  const BeamParams& beam = *request.beam;
  if (beam.width < 1 || beam.width > kMaxBeamWidth) {
    return invalid_input("beam_width: {} is not between 1 and {}", beam.width, kMaxBeamWidth);
  }
  if (!(std::abs(beam.length_penalty) <= 100.0F)) {
    return invalid_input("length_penalty: {} is not in [-100, 100]", beam.length_penalty);
  }
  if (request.outputs > beam.width) {
    return invalid_input("outputs: {} of a search with {} beams", request.outputs, beam.width);
  }
  if (request.score_prompt) return invalid_input("beam_width: {} of a scored prompt", beam.width);
  const SamplingParams& sampling = request.sampling;
  const char* refused = !sampling.stop.empty()                ? "stop"
                        : !sampling.logit_bias.empty()        ? "logit_bias"
                        : sampling.repetition_penalty != 1.0F ? "repetition_penalty"
                        : sampling.frequency_penalty != 0.0F  ? "frequency_penalty"
                        : sampling.presence_penalty != 0.0F   ? "presence_penalty"
                                                              : nullptr;
  if (refused != nullptr) return invalid_input("{}: not with a beam search", refused);
  return {};
}

// A prompt that is not continued. It fills the context at the most.
Result<void> check_reading(const Request& request, const ModelInfo& info) {
  const char* what = request.embed ? "an embedding" : "a scored prompt";
  if (request.outputs != 1) return invalid_input("outputs: {} of {}", request.outputs, what);
  const size_t length = request.prompt.size();
  if (length > static_cast<size_t>(info.context_length)) {
    return unsupported("prompt: {} tokens are more than the context of {}", length,
                       info.context_length);
  }
  if (!request.embed) {
    if (length < 2) return invalid_input("prompt: scoring needs at least two tokens");
    return {};
  }
  if (request.score_prompt) return invalid_input("embed: not of a scored prompt");
  if (request.beam) return invalid_input("embed: not with a beam search");
  if (info.pooling == Pooling::cls || info.pooling == Pooling::rank) {
    return invalid_input("embed: the model's pooling is '{}'; only mean and last are supported",
                         info.pooling == Pooling::cls ? "cls" : "rank");
  }
  return {};
}

}  // namespace

Result<void> check_sampling(const SamplingParams& params) {
  Result<void> status;
  visit_sampling(params, [&status](const SamplingField& field, const auto& value) {
    using Value = std::decay_t<decltype(value)>;
    if constexpr (std::is_same_v<Value, float> || std::is_same_v<Value, int32_t>) {
      if (status.ok()) status = check_range(field, value);
    }
  });
  OCTAVO_TRY(status);
  if (params.max_tokens > 0 && params.min_tokens > params.max_tokens) {
    return invalid_input("min_tokens: {} is more than max_tokens {}", params.min_tokens,
                         params.max_tokens);
  }
  return {};
}

Result<void> check_request(const Request& request, const ModelInfo& info) {
  OCTAVO_TRY(check_cache_use(request));
  if (request.prompt.empty()) return invalid_input("prompt: it has no tokens");
  for (const int32_t token : request.prompt) OCTAVO_TRY(check_token("prompt", token, info));
  if (request.outputs < 1 || request.outputs > kMaxOutputs) {
    return invalid_input("outputs: {} is not between 1 and {}", request.outputs, kMaxOutputs);
  }
  OCTAVO_TRY(check_sampling(request.sampling));
  OCTAVO_TRY(check_lists(request.sampling, info));
  if (request.beam) OCTAVO_TRY(check_beam(request));
  if (request.score_prompt || request.embed) return check_reading(request, info);
  const auto length = static_cast<int64_t>(request.prompt.size());
  const int64_t wanted = std::max<int64_t>(request.sampling.max_tokens, 1);
  if (length + wanted > info.context_length) {
    return unsupported("prompt: {} tokens and {} to generate are more than the context of {}",
                       length, wanted, info.context_length);
  }
  return {};
}

Result<void> check_parallel(const Request& request, const EngineConfig& config) {
  const char* field = request.beam ? "beam_width" : "outputs";
  const int32_t count = request.beam ? request.beam->width : request.outputs;
  if (count > config.max_sequences) {
    return invalid_input("{}: {} are more than can run at once; max-sequences is {}", field, count,
                         config.max_sequences);
  }
  if (request.beam && count > config.batch_tokens) {
    return invalid_input("beam_width: {} are more than one step computes; batch-tokens is {}",
                         count, config.batch_tokens);
  }
  return {};
}

Result<OutputRules> make_rules(const Request& request, const ModelInfo& info,
                               const text::Tokenizer& tokenizer) {
  OutputRules rules;
  rules.params = request.sampling;
  SamplingParams& params = rules.params;
  OCTAVO_ASSIGN(rules.stop_strings, text::StopStrings::create(params.stop));
  if (!params.seed) {
    std::random_device device;
    params.seed = static_cast<uint64_t>(device()) << 32 | device();
  }
  if (params.max_tokens == 0) {
    params.max_tokens = info.context_length - static_cast<int32_t>(request.prompt.size());
  }
  if (request.score_prompt || request.embed) params.max_tokens = 1;
  if (request.score_prompt) params.logprobs = std::max(params.logprobs, 0);
  rules.end_tokens = params.stop_token_ids;
  const std::vector<int32_t>& ends = tokenizer.special().end_of_generation;
  std::vector<int32_t>& destination = params.ignore_eos ? rules.never_drawn : rules.end_tokens;
  destination.insert(destination.end(), ends.begin(), ends.end());
  rules.banned_before = rules.never_drawn;
  rules.banned_before.insert(rules.banned_before.end(), rules.end_tokens.begin(),
                             rules.end_tokens.end());
  rules.shown_logprobs = params.logprobs;
  rules.beam = request.beam;
  if (rules.beam) {
    // The best of these hold `width` tokens that may follow, whatever is banned or ends a beam.
    const auto candidates = rules.beam->width + static_cast<int32_t>(rules.banned_before.size());
    params.logprobs = std::max(params.logprobs, candidates);
    params.temperature = 0.0F;  // nothing is drawn
  }
  return rules;
}

}  // namespace octavo
