#include "server/kobold/generate_request.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/error.h"
#include "server/neighbour.h"

namespace octavo::server {
namespace {

constexpr std::array kNames = {
    ParameterName{"max_length", "max_tokens"},
    ParameterName{"temperature", "temperature"},
    ParameterName{"top_k", "top_k"},
    ParameterName{"top_p", "top_p"},
    ParameterName{"min_p", "min_p"},
    ParameterName{"typical", "typical_p"},
    ParameterName{"rep_pen", "repetition_penalty"},
    ParameterName{"presence_penalty", "presence_penalty"},
    ParameterName{"stop_sequence", "stop"},
    ParameterName{"logit_bias", "logit_bias"},
    ParameterName{"use_default_badwordsids", "ignore_eos"},
};

constexpr std::array kNeutral = {
    NeutralValue{"tfs", 1},
    NeutralValue{"top_a", 0},
    NeutralValue{"dynatemp_range", 0},
    NeutralValue{"smoothing_factor", 0},
    NeutralValue{"mirostat", 0},
    NeutralValue{"dry_multiplier", 0},
    NeutralValue{"xtc_probability", 0},
    NeutralValue{"nsigma", 0},
    NeutralValue{"n", 1},
};

// The memory, then as much of the prompt's end as fits beside the answer.
Result<std::vector<int32_t>> read_prompt(Fields& fields, const Engine& engine, int32_t answer) {
  if (fields.find("prompt") == nullptr) return invalid_input("prompt: it is missing");
  OCTAVO_ASSIGN(const std::string prompt, fields.text("prompt", ""));
  OCTAVO_ASSIGN(const std::string memory, fields.text("memory", ""));
  const int32_t context = engine.model().context_length;
  OCTAVO_ASSIGN(const int64_t wanted, fields.integer("max_context_length", 1, INT32_MAX, context));
  const int64_t room = std::min<int64_t>(wanted, context) - answer;
  if (room < 1) return invalid_input("max_length: {} leave no room for the prompt", answer);
  OCTAVO_ASSIGN(std::vector<int32_t> tokens, engine.tokenize(memory, {.parse_special = true}));
  OCTAVO_ASSIGN(const std::vector<int32_t> rest,
                engine.tokenize(prompt, {.add_special = false, .parse_special = true}));
  const int64_t left = room - static_cast<int64_t>(tokens.size());
  if (left < 0) return invalid_input("memory: its {} tokens do not fit", tokens.size());
  const int64_t taken = std::min<int64_t>(left, static_cast<int64_t>(rest.size()));
  tokens.insert(tokens.end(), rest.end() - taken, rest.end());
  return tokens;
}

}  // namespace

Result<KoboldRequest> read_kobold_request(Fields& fields, const Engine& engine) {
  KoboldRequest kobold;
  SamplingParams& sampling = kobold.request.sampling;
  sampling = {.temperature = 0.75F, .top_k = 100, .top_p = 0.92F, .max_tokens = 200};
  OCTAVO_TRY(
      fields.refuse_all({"grammar", "grammar_retain_state", "images", "banned_tokens", "logprobs",
                         "bypass_eos", "render_special", "replace_instruct_placeholders"}));
  OCTAVO_TRY(refuse_others(fields, kNeutral));
  OCTAVO_TRY(read_renamed(fields, kNames, sampling));
  if (sampling.max_tokens < 1) return invalid_input("max_length: it must be positive");
  OCTAVO_ASSIGN(sampling.seed, read_seed(fields, "sampler_seed"));
  OCTAVO_ASSIGN(kobold.key, fields.text("genkey", ""));
  OCTAVO_ASSIGN(kobold.trim_stop, fields.flag("trim_stop", true));
  OCTAVO_ASSIGN(kobold.request.prompt, read_prompt(fields, engine, sampling.max_tokens));
  // The penalty looks at everything, the filters have one order, and nobody else is told.
  know(fields, {"rep_pen_range", "rep_pen_slope", "sampler_order", "dynatemp_exponent",
                "mirostat_tau", "mirostat_eta", "dry_base", "dry_allowed_length",
                "dry_penalty_last_n", "dry_sequence_breakers", "xtc_threshold", "quiet",
                "use_story", "use_memory", "use_authors_note", "use_world_info"});
  kobold.unknown = fields.unknown();
  return kobold;
}

}  // namespace octavo::server
