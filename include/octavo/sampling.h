// How the next token is chosen, per request.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace octavo {

struct TokenBias {
  int32_t token = 0;
  float bias = 0.0F;  // added to the token's logit
};

// The order in which a logits row is treated: logit bias; repetition, frequency and presence
// penalties; temperature; top-k; typical; top-p; min-p; one draw. Each filter keeps at least one
// token. A temperature of 0 takes the highest logit after bias and penalties, the lowest id on a
// tie.
struct SamplingParams {
  float temperature = 1.0F;  // >= 0
  int32_t top_k = 0;         // keep the k most probable tokens; 0: all
  float top_p = 1.0F;        // (0, 1]: keep the smallest set that holds this much probability
  float min_p = 0.0F;        // [0, 1]: drop tokens below min_p times the top probability
  float typical_p = 1.0F;    // (0, 1]: locally typical sampling (Meister et al., 2022)
  float repetition_penalty =
      1.0F;  // > 0: divides positive, multiplies negative logits of seen tokens
  float frequency_penalty = 0.0F;  // [-2, 2]: times how often the token was generated
  float presence_penalty = 0.0F;   // [-2, 2]: once for a token that was generated
  std::vector<TokenBias> logit_bias;

  // Draws are a function of (seed, output index, position, draw number) alone. A request without a
  // seed gets one from the system.
  bool has_seed = false;
  uint64_t seed = 0;

  int32_t max_tokens = 256;       // generated tokens per output; 0: up to the context's end
  int32_t min_tokens = 0;         // before this many, no token that ends the output can be drawn
  bool ignore_eos = false;        // end-of-generation tokens are never drawn
  std::vector<std::string> stop;  // texts that end the output; no part of one is ever emitted
  std::vector<int32_t> stop_token_ids;  // tokens that end the output
  int32_t logprobs = -1;  // log probabilities of the drawn token and of the top n; -1: none
};

// A token and the natural logarithm of its probability under the unmodified logits.
struct TokenLogprob {
  int32_t token = 0;
  float logprob = 0.0F;
};

}  // namespace octavo
