// What the APIs of other servers have in common here: their names for our parameters, and what
// their answers want to know about an output. Plain functions, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "octavo/engine.h"
#include "octavo/result.h"
#include "server/api_error.h"
#include "server/fields.h"
#include "server/generation.h"
#include "server/openai/answer.h"

namespace octavo::server {

struct ParameterName {
  const char* theirs;
  const char* ours;  // of visit_sampling
};

// Reads the sampling parameters that are given. Errors have the API's own names.
Result<void> read_renamed(Fields& fields, std::span<const ParameterName> names,
                          SamplingParams& params);

// A seed, of which every negative one stands for none.
Result<std::optional<uint64_t>> read_seed(Fields& fields, std::string_view name);

// Something that would change the answer, is not there yet, and changes nothing at this value.
struct NeutralValue {
  const char* name;
  double value;
};
Result<void> refuse_others(Fields& fields, std::span<const NeutralValue> neutral);

// Asks for fields that have no effect here, so that they are not told as unknown.
void know(Fields& fields, std::initializer_list<std::string_view> names);

// The stop string that ended an output of these tokens; empty: none of them did.
std::string stop_string_of(const Engine& engine, const std::vector<TokenInfo>& tokens,
                           const std::vector<std::string>& stops);

// All outputs, by request; nothing when the client has gone or the engine goes down.
asio::awaitable<std::optional<std::vector<std::vector<Choice>>>> collect_choices(
    Generation& generation, size_t requests, size_t outputs);

asio::awaitable<void> respond_json(Exchange& exchange, const Json& json);

// The answer when the engine goes down under a request.
ApiError going_down_error();

}  // namespace octavo::server
