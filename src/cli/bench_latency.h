// The arithmetic of `octavo bench latency`: from measured times to a line of its table.
//
// Plain values and functions.
#pragma once

#include <cstdint>
#include <vector>

#include "cli/device_probe.h"
#include "cli/model_cost.h"
#include "simulate/table.h"

namespace octavo::cli {

struct LatencyShape {
  int32_t batch_size = 1;
  int32_t input_tokens = 1;
  int32_t output_tokens = 1;
};

struct LatencySample {
  double first_token_s = 0;  // of the median request of the batch
  double prompts_s = 0;      // until all have their first token
  double token_s = 0;        // from token to token, with all of them decoding
};

double median(std::vector<double> values);

simulate::Table latency_table();  // its columns
// The medians of the samples. Without a token after the first, the cells of decoding stay empty.
std::vector<simulate::Cell> latency_row(const LatencyShape& shape,
                                        const std::vector<LatencySample>& samples,
                                        const ModelCost& cost, const DeviceProbe& probe);

}  // namespace octavo::cli
