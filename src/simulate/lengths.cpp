#include "simulate/lengths.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace octavo::simulate {
namespace {

// In (0, 1]: 53 bits, so that the logarithm is finite. The standard's distributions differ between
// libraries, its engines do not.
double draw_fraction(std::mt19937_64& random) {
  return static_cast<double>((random() >> 11) + 1) * 0x1p-53;
}

}  // namespace

std::optional<MeanLengths> mean_lengths(std::string_view name) {
  for (const MeanLengths& lengths : {kShareGpt, kAlpaca}) {
    if (lengths.name == name) return lengths;
  }
  return std::nullopt;
}

int32_t draw_geometric(double mean, std::mt19937_64& random) {
  // P(length > n) = (1 - 1/mean)^n, inverted.
  const double length = 1 + std::floor(std::log(draw_fraction(random)) / std::log1p(-1 / mean));
  return static_cast<int32_t>(std::min(length, double{kMostTokens}));
}

Result<Workload> draw_workload(const MeanLengths& lengths, int32_t count, int32_t context_length,
                               uint64_t seed) {
  if (context_length < lengths.prompt + lengths.output) {
    return invalid_input("a context of {} tokens is less than the mean request of {}, {} tokens",
                         context_length, lengths.name, std::ceil(lengths.prompt + lengths.output));
  }
  Workload workload{.name = std::string(lengths.name)};
  std::mt19937_64 random(seed);
  while (std::ssize(workload.requests) < count) {
    Request request;
    request.prompt_length = draw_geometric(lengths.prompt, random);
    request.output_length = draw_geometric(lengths.output, random);
    const int64_t length = int64_t{request.prompt_length} + request.output_length;
    if (length <= context_length) workload.requests.push_back(request);
  }
  return workload;
}

void draw_arrivals(Workload& workload, double rate, uint64_t seed) {
  std::mt19937_64 random(seed);
  double now_s = 0;
  for (Request& request : workload.requests) {
    now_s -= std::log(draw_fraction(random)) / rate;
    request.arrival_s = now_s;
  }
}

}  // namespace octavo::simulate
