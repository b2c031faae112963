#include "cli/load_workload.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace octavo::cli {
namespace {

// Uniform, by the generator's own words: the standard distributions differ between libraries.
class Ids {
 public:
  Ids(int32_t vocabulary, uint64_t seed)
      : first_(vocabulary / 2), count_(vocabulary - vocabulary / 2), random_(seed) {}

  void append(std::vector<int32_t>& to, int32_t count) {
    for (int32_t i = 0; i < count; ++i) {
      to.push_back(first_ + static_cast<int32_t>(random_() % static_cast<uint64_t>(count_)));
    }
  }

 private:
  int32_t first_;
  int32_t count_;
  std::mt19937_64 random_;
};

// The same text for the same piece, whoever has it.
uint64_t piece_seed(uint64_t seed, int32_t piece) {
  return seed * 0x9E3779B97F4A7C15U + static_cast<uint64_t>(piece) + 1;
}

}  // namespace

std::vector<PlannedRequest> plan_shared_prefix(const SharedPrefixShape& shape, int32_t vocabulary,
                                               uint64_t seed) {
  Ids ids(vocabulary, seed);
  std::vector<int32_t> shared;
  ids.append(shared, shape.shared_tokens);
  std::vector<PlannedRequest> plan(static_cast<size_t>(shape.requests));
  for (PlannedRequest& request : plan) {
    request.prompt = shared;
    ids.append(request.prompt, shape.own_tokens);
    request.output_tokens = shape.output_tokens;
  }
  return plan;
}

std::vector<PlannedRequest> plan_trace(const simulate::Workload& workload, int32_t context,
                                       double speed, int32_t vocabulary, uint64_t seed) {
  Ids own(vocabulary, seed);
  std::vector<PlannedRequest> plan;
  for (const simulate::Request& from : workload.requests) {
    if (from.prompt_length + from.output_length > context) continue;
    PlannedRequest& request = plan.emplace_back();
    request.at_s = from.arrival_s / speed;
    request.output_tokens = from.output_length;
    if (from.pieces.empty()) own.append(request.prompt, from.prompt_length);
    for (const int32_t piece : from.pieces) {
      const auto left = from.prompt_length - static_cast<int32_t>(request.prompt.size());
      Ids(vocabulary, piece_seed(seed, piece))
          .append(request.prompt, std::min(left, simulate::kPieceTokens));
    }
  }
  return plan;
}

void draw_times(std::vector<PlannedRequest>& requests, double rate, uint64_t seed) {
  std::mt19937_64 random(seed);
  double now = 0;
  for (PlannedRequest& request : requests) {
    const double uniform = (static_cast<double>(random() >> 11) + 0.5) * 0x1p-53;
    now -= std::log(uniform) / rate;
    request.at_s = now;
  }
}

}  // namespace octavo::cli
