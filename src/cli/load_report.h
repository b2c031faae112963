// What a load came to: percentiles, rates, and how many requests were served as well as is wanted.
//
// Plain values and functions.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/load_client.h"

namespace octavo::cli {

// Of values in seconds. Percentiles by nearest rank: each is a value that occurred.
struct Spread {
  double mean = 0;
  double p50 = 0;
  double p90 = 0;
  double p99 = 0;
  double most = 0;
};
Spread spread_of(std::vector<double> values);

// What a request must keep to count as well served; 0: anything will do.
struct ServiceLimits {
  double first_token_s = 0;
  double per_token_s = 0;  // mean time from token to token
  double whole_s = 0;
};

struct LoadReport {
  int64_t requests = 0;
  int64_t failed = 0;
  int64_t good = 0;    // answered within the limits
  double seconds = 0;  // from the first request to the last answer
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;
  int64_t output_tokens = 0;
  Spread first_token;
  Spread between_tokens;  // from text to text
  Spread per_token;       // mean of each request
  Spread whole;
  std::string first_error;

  double per_second(double amount) const { return seconds > 0 ? amount / seconds : 0; }
};

LoadReport make_report(const std::vector<RequestRecord>& records, const ServiceLimits& limits);

std::string format_report(const LoadReport& report);
nlohmann::ordered_json to_json(const LoadReport& report);

}  // namespace octavo::cli
