// Requests as JSON objects: the sampling parameters and conversations of prompt files and servers.
//
// Pure functions, any thread. The fields are those of visit_sampling (octavo/sampling.h);
// logit_bias is {"token id": bias, ...} and stop a string or a list of strings. A null counts as
// not given.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "octavo/engine.h"
#include "octavo/result.h"
#include "octavo/sampling.h"

namespace octavo {

// True for the name of a sampling parameter.
bool is_sampling_field(std::string_view name);

// The same for a parameter of a beam search: beam_width (which asks for one), length_penalty,
// early_stopping (true, false or "never").
bool is_beam_field(std::string_view name);

// Reads the beam search that `object` asks for, if it does.
Result<void> read_beam(const nlohmann::json& object, std::optional<BeamParams>& beam);

// Reads the sampling parameters that `object` has into `params`, and checks their bounds. Other
// fields are left alone: what is allowed beside them, the caller knows. Errors name the field; then
// `params` may be half changed.
Result<void> read_sampling(const nlohmann::json& object, SamplingParams& params);

// [{"role": "user", "content": "text"}, ...], at least one. `field` names the list in errors.
Result<std::vector<ChatMessage>> read_messages(const nlohmann::json& list, std::string_view field);

// "stop", "length", "cancelled", "no_memory"; "none" while it runs.
std::string_view finish_reason_name(FinishReason reason);

// What FinishReason::no_memory means, for people.
inline constexpr std::string_view kNoMemoryMessage =
    "the device has no memory left for the KV cache: other programs took it";

}  // namespace octavo
