// How the next token is chosen, per request.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace octavo {

struct TokenBias {
  int32_t token = 0;
  float bias = 0.0F;  // added to the token's logit
};

// The order in which a logits row is treated: logit bias; repetition, frequency and presence
// penalties; bans (min_tokens, ignore_eos); temperature; top-k; typical; top-p; min-p; one draw.
// Each filter keeps at least one token. A temperature of 0 takes the highest logit after bias and
// penalties, the lowest id on a tie.
struct SamplingParams {
  float temperature = 1.0F;
  int32_t top_k = 0;
  float top_p = 1.0F;
  float min_p = 0.0F;
  float typical_p = 1.0F;
  float repetition_penalty = 1.0F;
  float frequency_penalty = 0.0F;
  float presence_penalty = 0.0F;
  std::vector<TokenBias> logit_bias;

  // Draws are a function of (seed, output index, position, draw number) alone. A request without a
  // seed gets one from the system.
  std::optional<uint64_t> seed;

  int32_t max_tokens = 256;
  int32_t min_tokens = 0;
  bool ignore_eos = false;
  std::vector<std::string> stop;
  std::vector<int32_t> stop_token_ids;
  int32_t logprobs = -1;

  // Whether logits are changed by which tokens came before.
  bool has_penalties() const {
    return repetition_penalty != 1.0F || frequency_penalty != 0.0F || presence_penalty != 0.0F;
  }
};

// What one parameter is. The bounds are those of the numeric ones.
struct SamplingField {
  const char* name;  // in JSON; the flag has dashes for underscores
  const char* help;
  double minimum = 0.0;
  double maximum = 0.0;
  bool minimum_allowed = true;  // the minimum itself is a possible value
};

// Calls visitor(SamplingField, member) for each parameter, in the order of the manual. `Params` is
// SamplingParams or const SamplingParams. Flags, JSON fields, checks and the manual come from this
// list.
template <class Params, class Visitor>
void visit_sampling(Params& params, Visitor&& visitor) {
  constexpr double kMostTokens = 2147483647.0;
  visitor(SamplingField{"temperature", "Divides the logits; 0: always the most probable token.", 0,
                        100},
          params.temperature);
  visitor(SamplingField{"top_k", "Keep the K most probable tokens; 0: all.", 0, kMostTokens},
          params.top_k);
  visitor(
      SamplingField{"top_p", "Keep the smallest set of tokens that holds this much probability.", 0,
                    1, false},
      params.top_p);
  visitor(SamplingField{"min_p", "Drop tokens below this share of the top probability.", 0, 1},
          params.min_p);
  visitor(SamplingField{"typical_p",
                        "Keep this much probability of the tokens nearest to the expected surprise "
                        "(Meister et al., 2022).",
                        0, 1, false},
          params.typical_p);
  visitor(SamplingField{"repetition_penalty",
                        "Divides the positive and multiplies the negative logits of tokens seen "
                        "in prompt or answer.",
                        0, 1e30, false},
          params.repetition_penalty);
  visitor(SamplingField{"frequency_penalty",
                        "Taken from a token's logit for each time it was generated.", -2, 2},
          params.frequency_penalty);
  visitor(SamplingField{"presence_penalty",
                        "Taken once from the logit of a token that was generated.", -2, 2},
          params.presence_penalty);
  visitor(SamplingField{"logit_bias", "Added to the logit of a token."}, params.logit_bias);
  visitor(SamplingField{"seed",
                        "Seed of the random draws: the same seed gives the same tokens. Without "
                        "one, each request gets its own."},
          params.seed);
  visitor(SamplingField{"max_tokens",
                        "Most tokens to generate for each output; 0: up to the context's end.", 0,
                        kMostTokens},
          params.max_tokens);
  visitor(
      SamplingField{"min_tokens", "Before this many tokens, none that ends the output is drawn.", 0,
                    kMostTokens},
      params.min_tokens);
  visitor(SamplingField{"ignore_eos", "Never draw the model's end-of-generation tokens."},
          params.ignore_eos);
  visitor(SamplingField{"stop", "A text that ends the output; no part of it is shown."},
          params.stop);
  visitor(SamplingField{"stop_token_ids", "A token id that ends the output."},
          params.stop_token_ids);
  visitor(SamplingField{"logprobs",
                        "Give the log probabilities of each token and of the N most probable ones; "
                        "-1: none.",
                        -1, 100},
          params.logprobs);
}

// A token and the natural logarithm of its probability under the unmodified logits.
struct TokenLogprob {
  int32_t token = 0;
  float logprob = 0.0F;
};

}  // namespace octavo
