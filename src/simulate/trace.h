// Reads recorded traffic: who asked when, with how many tokens, and for how many.
//
// Two formats, told apart by their first character. A line that is wrong is an error that names
// file and line. Stateless.
#pragma once

#include <string_view>

#include "octavo/result.h"
#include "simulate/workload.h"

namespace octavo::simulate {

// Azure's LLM inference traces: a heading, then "TIMESTAMP,ContextTokens,GeneratedTokens" with
// timestamps such as "2023-11-16 18:15:46.6805900".
//
// Mooncake's traces: one JSON object a line, {"timestamp": milliseconds, "input_length": N,
// "output_length": N, "hash_ids": [one id for each 512 tokens of the prompt, the last for the
// rest]}.
//
// Blank lines are passed over. Arrivals are counted from the first request's and must not go
// backwards.
Result<Workload> parse_trace(std::string_view name, std::string_view content);

}  // namespace octavo::simulate
