// Checks a request and resolves what it left open. Pure functions, any thread.
#pragma once

#include "engine/output.h"
#include "octavo/engine.h"
#include "octavo/result.h"
#include "text/tokenizer.h"

namespace octavo {

// What can be said without a model: every number within the bounds of its SamplingField.
Result<void> check_sampling(const SamplingParams& params);

// Errors name the field and the number. `info` is the model the request is for.
Result<void> check_request(const Request& request, const ModelInfo& info);

// Whether the engine's limits let all outputs or beams of the request run at once. Errors name the
// limit, too.
Result<void> check_parallel(const Request& request, const EngineConfig& config);

// The rules its outputs follow: a seed from the system where none was given, max_tokens 0 resolved
// to what the context leaves, stop strings compiled, banned tokens listed.
Result<OutputRules> make_rules(const Request& request, const ModelInfo& info,
                               const text::Tokenizer& tokenizer);

}  // namespace octavo
