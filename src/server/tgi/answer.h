// Answers in TGI's form, from the engine's events. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "octavo/engine.h"
#include "server/api_error.h"
#include "server/exchange.h"
#include "server/json_body.h"
#include "server/openai/answer.h"
#include "server/tgi/generate_request.h"

namespace octavo::server {

class TgiAnswer {
 public:
  // Both must outlive it.
  TgiAnswer(const Engine& engine, const TgiRequest& tgi) : engine_(engine), tgi_(tgi) {}

  // Of all outputs the most probable one. `prefill`: the prompt's tokens but the first.
  Json whole(const std::vector<Choice>& choices, const std::vector<TokenInfo>& prefill) const;

  // The chunks for an event of a stream: one for each token. The event's text goes to the last of
  // them: before it, it was not certain.
  std::vector<Json> chunks(Event event);

 private:
  Json token_json(int32_t token, double logprob, const std::string& text) const;
  Json token_json(const TokenLogprob& token) const;
  Json top_tokens_json(const TokenInfo& token) const;
  Json prefill_json(const std::vector<TokenInfo>& prefill) const;
  // What the details and each of the best sequences tell.
  Json details_json(const Choice& choice, const std::vector<TokenInfo>& prefill) const;
  Json seed_json() const;
  bool is_special(int32_t token) const;
  std::string stop_string(const Choice& choice) const;
  const char* finish_name(const Choice& choice) const;
  std::string whole_text(const Choice& choice) const;

  const Engine& engine_;
  const TgiRequest& tgi_;
  Choice so_far_;  // of a stream
};

// {"error", "error_type"} with TGI's statuses: 422 for a request that is wrong.
HttpResponse tgi_error(const Error& error);
// The same for an output that ended before its text did.
Json tgi_failure(const ApiError& error);

}  // namespace octavo::server
