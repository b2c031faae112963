#include "server/tgi/answer.h"

#include <algorithm>
#include <utility>

#include "server/api_error.h"
#include "server/neighbour.h"

namespace octavo::server {

bool TgiAnswer::is_special(int32_t token) const {
  const Result<std::string> text = engine_.detokenize({token});
  return text && text->empty() && !engine_.token_bytes(token).empty();
}

Json TgiAnswer::token_json(int32_t token, double logprob, const std::string& text) const {
  return {{"id", token}, {"text", text}, {"logprob", logprob}, {"special", is_special(token)}};
}

Json TgiAnswer::token_json(const TokenLogprob& token) const {
  return token_json(token.token, token.logprob, engine_.token_bytes(token.token));
}

Json TgiAnswer::top_tokens_json(const TokenInfo& token) const {
  Json top = Json::array();
  for (const TokenLogprob& other : token.top) top.push_back(token_json(other));
  return top;
}

// Nothing comes before the first token, so it has no probability.
Json TgiAnswer::prefill_json(const std::vector<TokenInfo>& prefill) const {
  Json list = Json::array();
  if (!tgi_.prefill) return list;
  const auto add = [&](int32_t token, Json logprob) {
    list.push_back(
        {{"id", token}, {"text", engine_.token_bytes(token)}, {"logprob", std::move(logprob)}});
  };
  add(tgi_.request.prompt.front(), nullptr);
  for (const TokenInfo& token : prefill) add(token.token, token.logprob);
  return list;
}

std::string TgiAnswer::stop_string(const Choice& choice) const {
  if (choice.finish != FinishReason::stop) return {};
  return stop_string_of(engine_, choice.tokens, tgi_.request.sampling.stop);
}

const char* TgiAnswer::finish_name(const Choice& choice) const {
  if (choice.finish == FinishReason::length) return "length";
  return stop_string(choice).empty() ? "eos_token" : "stop_sequence";
}

// With the stop string, as TGI tells it.
std::string TgiAnswer::whole_text(const Choice& choice) const {
  return (tgi_.return_full_text ? tgi_.inputs : "") + choice.text + stop_string(choice);
}

Json TgiAnswer::seed_json() const {
  const auto& seed = tgi_.request.sampling.seed;
  return tgi_.samples && seed ? Json(*seed) : Json();
}

Json TgiAnswer::details_json(const Choice& choice, const std::vector<TokenInfo>& prefill) const {
  Json details = {{"finish_reason", finish_name(choice)},
                  {"generated_tokens", choice.tokens.size()},
                  {"seed", seed_json()},
                  {"prefill", prefill_json(prefill)},
                  {"tokens", Json::array()}};
  for (const TokenInfo& token : choice.tokens) {
    details["tokens"].push_back(token_json({token.token, token.logprob}));
    if (tgi_.top_tokens > 0) details["top_tokens"].push_back(top_tokens_json(token));
  }
  return details;
}

Json TgiAnswer::whole(const std::vector<Choice>& choices,
                      const std::vector<TokenInfo>& prefill) const {
  const auto best = std::max_element(
      choices.begin(), choices.end(),
      [](const Choice& a, const Choice& b) { return a.mean_logprob() < b.mean_logprob(); });
  Json answer = {{"generated_text", whole_text(*best)}};
  if (!tgi_.details && !tgi_.prefill) return answer;
  answer["details"] = details_json(*best, prefill);
  if (choices.size() == 1) return answer;
  Json& others = answer["details"]["best_of_sequences"] = Json::array();
  for (const Choice& choice : choices) {
    if (&choice == &*best) continue;
    Json other = details_json(choice, prefill);
    other["generated_text"] = whole_text(choice);
    others.push_back(std::move(other));
  }
  return answer;
}

std::vector<Json> TgiAnswer::chunks(Event event) {
  const std::string text = event.text;
  const bool is_over = event.finish != FinishReason::none;
  const size_t before = so_far_.tokens.size();
  so_far_.add(std::move(event));
  std::vector<Json> list;
  for (size_t i = before; i < so_far_.tokens.size(); ++i) {
    const TokenInfo& token = so_far_.tokens[i];
    const bool is_last = i + 1 == so_far_.tokens.size();
    Json& chunk = list.emplace_back();
    chunk["index"] = i + 1;
    chunk["token"] = token_json(token.token, token.logprob, is_last ? text : "");
    // A client leaves the text of special tokens out: this one has text from before the end.
    if (is_last && !text.empty()) chunk["token"]["special"] = false;
    if (tgi_.top_tokens > 0) chunk["top_tokens"] = top_tokens_json(token);
    chunk["generated_text"] = nullptr;
    chunk["details"] = nullptr;
    if (!is_last || !is_over) continue;
    chunk["generated_text"] = whole_text(so_far_);
    chunk["details"] = {{"finish_reason", finish_name(so_far_)},
                        {"generated_tokens", so_far_.tokens.size()},
                        {"input_length", tgi_.request.prompt.size()},
                        {"seed", seed_json()}};
  }
  return list;
}

HttpResponse tgi_error(const Error& error) {
  ApiError api = api_error(error);
  const bool is_overloaded = api.status == 429;
  if (!is_overloaded) api.status = 422;
  const Json body = {{"error", api.message},
                     {"error_type", is_overloaded ? "overloaded" : "validation"}};
  return error_response(api, dump(body));
}

Json tgi_failure(const ApiError& error) {
  return {{"error", error.message}, {"error_type", "incomplete_generation"}};
}

}  // namespace octavo::server
