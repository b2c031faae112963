// The golden models of tests/data/golden: their tokens, and the logits that another implementation
// computed for them.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/step_runner.h"

namespace octavo {

struct Golden {
  nlohmann::json json;
  std::vector<int32_t> tokens;
  std::vector<float> logits;  // [tokens, vocabulary]
};

nlohmann::json load_golden_json(const std::string& file_name);
Golden load_golden(const std::string& name);
std::string model_path(const Golden& golden);
// All that have logits, in order.
std::vector<std::string> golden_names();

// How far computed logits are from the golden ones.
struct Deviation {
  double max = 0.0;
  double rms = 0.0;
};
Deviation deviation(const std::vector<std::vector<float>>& rows, const std::vector<float>& golden);

// The logits of `tokens`, computed in chunks of random lengths, each beside a neighbour before and
// one behind. Takes the runner's sequences first_sequence to first_sequence + 2.
std::vector<std::vector<float>> run_in_chunks(StepRunner& runner, int32_t first_sequence,
                                              const std::vector<int32_t>& tokens, uint32_t seed);

}  // namespace octavo
