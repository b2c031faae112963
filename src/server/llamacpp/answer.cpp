#include "server/llamacpp/answer.h"

#include <utility>

#include "server/neighbour.h"

namespace octavo::server {
namespace {

double milliseconds(std::chrono::steady_clock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

// A rate and its inverse over a count, for timings; 0 where there is nothing.
Json per_token(double ms, double tokens) {
  return tokens > 0 ? ms / tokens : 0.0;
}
Json per_second(double ms, double tokens) {
  return ms > 0 ? tokens * 1000.0 / ms : 0.0;
}

Json ids_of(const std::vector<TokenInfo>& tokens) {
  Json ids = Json::array();
  for (const TokenInfo& token : tokens) ids.push_back(token.token);
  return ids;
}

}  // namespace

Json llamacpp_settings(const SamplingParams& sampling) {
  return {{"n_predict", sampling.max_tokens == 0 ? -1 : sampling.max_tokens},
          {"seed", sampling.seed ? Json(*sampling.seed) : Json(-1)},
          {"temperature", sampling.temperature},
          {"top_k", sampling.top_k},
          {"top_p", sampling.top_p},
          {"min_p", sampling.min_p},
          {"typical_p", sampling.typical_p},
          {"repeat_penalty", sampling.repetition_penalty},
          {"presence_penalty", sampling.presence_penalty},
          {"frequency_penalty", sampling.frequency_penalty},
          {"stop", sampling.stop},
          {"ignore_eos", sampling.ignore_eos},
          {"n_probs", sampling.logprobs < 0 ? 0 : sampling.logprobs}};
}

LlamaCppAnswer::LlamaCppAnswer(const Engine& engine, const LlamaCppRequest& completion,
                               std::string model)
    : engine_(engine),
      completion_(completion),
      model_(std::move(model)),
      reports_(completion.prompts.size()),
      outputs_(completion.prompts.size() * static_cast<size_t>(completion.request.outputs)),
      finals_(outputs_.size()) {}

size_t LlamaCppAnswer::prompt_of(size_t index) const {
  return index / static_cast<size_t>(completion_.request.outputs);
}

Json LlamaCppAnswer::token_json(int32_t token, double logprob) const {
  const std::string text = engine_.token_bytes(token);
  Json bytes = Json::array();
  for (const char c : text) bytes.push_back(static_cast<unsigned char>(c));
  return {{"id", token}, {"token", text}, {"bytes", std::move(bytes)}, {"logprob", logprob}};
}

Json LlamaCppAnswer::probabilities(const std::vector<TokenInfo>& tokens) const {
  Json list = Json::array();
  for (const TokenInfo& info : tokens) {
    Json& token = list.emplace_back(token_json(info.token, info.logprob));
    Json& top = token["top_logprobs"] = Json::array();
    for (const TokenLogprob& other : info.top) {
      top.push_back(token_json(other.token, other.logprob));
    }
  }
  return list;
}

Json LlamaCppAnswer::timings(size_t index) const {
  const Output& output = outputs_[index];
  const PromptReport& report = reports_[prompt_of(index)];
  const auto prompt = static_cast<int64_t>(completion_.prompts[prompt_of(index)].size());
  const int64_t computed = prompt - report.cached_tokens;
  const double prompt_ms = milliseconds(output.first - submitted_) - report.queued_seconds * 1000.0;
  const double predicted_ms = milliseconds(output.last - output.first);
  const auto generated = static_cast<double>(output.so_far.tokens.size());
  return {{"cache_n", report.cached_tokens},
          {"prompt_n", computed},
          {"prompt_ms", prompt_ms},
          {"prompt_per_token_ms", per_token(prompt_ms, static_cast<double>(computed))},
          {"prompt_per_second", per_second(prompt_ms, static_cast<double>(computed))},
          {"predicted_n", output.so_far.tokens.size()},
          {"predicted_ms", predicted_ms},
          {"predicted_per_token_ms", per_token(predicted_ms, generated)},
          {"predicted_per_second", per_second(predicted_ms, generated)}};
}

Json LlamaCppAnswer::final_json(size_t index) const {
  const Choice& choice = outputs_[index].so_far;
  const std::vector<int32_t>& prompt = completion_.prompts[prompt_of(index)];
  const bool was_stopped = choice.finish == FinishReason::stop;
  const std::string word =
      was_stopped ? stop_string_of(engine_, choice.tokens, completion_.request.sampling.stop) : "";
  const char* stop_type = !was_stopped ? "limit" : word.empty() ? "eos" : "word";
  const Result<std::string> prompt_text = engine_.detokenize(prompt);
  Json json;
  json["index"] = index;
  json["content"] = completion_.stream ? "" : choice.text;
  json["tokens"] =
      completion_.return_tokens && !completion_.stream ? ids_of(choice.tokens) : Json::array();
  json["id_slot"] = -1;
  json["stop"] = true;
  json["model"] = model_;
  json["tokens_predicted"] = choice.tokens.size();
  json["tokens_evaluated"] = prompt.size();
  json["generation_settings"] = llamacpp_settings(completion_.request.sampling);
  json["prompt"] = prompt_text ? *prompt_text : std::string();
  json["has_new_line"] = choice.text.find('\n') != std::string::npos;
  json["truncated"] = false;
  json["stop_type"] = stop_type;
  json["stopping_word"] = word;
  json["tokens_cached"] = reports_[prompt_of(index)].cached_tokens;
  json["timings"] = timings(index);
  const bool tells_all = !completion_.stream && completion_.request.sampling.logprobs >= 0;
  if (tells_all) json["completion_probabilities"] = probabilities(choice.tokens);
  return json;
}

Json LlamaCppAnswer::chunk(size_t index, Event event) {
  Output& output = outputs_[index];
  if (event.prompt) reports_[prompt_of(index)] = *event.prompt;
  if (!event.tokens.empty()) {
    output.last = Clock::now();
    if (output.so_far.tokens.empty()) output.first = output.last;
  }
  Json json;
  if (completion_.stream && !event.tokens.empty()) {
    json = {{"index", index}, {"content", event.text}, {"tokens", ids_of(event.tokens)}};
    json["stop"] = false;
    json["id_slot"] = -1;
    json["tokens_predicted"] = output.so_far.tokens.size() + event.tokens.size();
    json["tokens_evaluated"] = completion_.prompts[prompt_of(index)].size();
    if (completion_.request.sampling.logprobs >= 0) {
      json["completion_probabilities"] = probabilities(event.tokens);
    }
  }
  const FinishReason finish = event.finish;
  output.so_far.add(std::move(event));
  if (!json.is_null() && completion_.timings_per_token) json["timings"] = timings(index);
  if (finish == FinishReason::stop || finish == FinishReason::length) {
    finals_[index] = final_json(index);
  }
  return json;
}

}  // namespace octavo::server
