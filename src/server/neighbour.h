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
#include "server/fields.h"

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

}  // namespace octavo::server
