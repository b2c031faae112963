// Requests whose lengths are drawn: what a published data set is known by when its texts are not at
// hand.
//
// Each length is drawn from a geometric distribution with the mean that was published: of all
// distributions of whole numbers from 1 on with that mean, the one that assumes nothing else
// (maximum entropy). Prompt and output are independent. A pair that exceeds the context is drawn
// again, as a benchmark drops such conversations. Stateless.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string_view>

#include "octavo/result.h"
#include "simulate/workload.h"

namespace octavo::simulate {

struct MeanLengths {
  std::string_view name;
  double prompt = 0;
  double output = 0;
};

// The means of "Efficient Memory Management for Large Language Model Serving with PagedAttention"
// (arXiv 2309.06180, figure 11).
inline constexpr MeanLengths kShareGpt{"sharegpt", 161.31, 337.99};
inline constexpr MeanLengths kAlpaca{"alpaca", 19.31, 58.45};

// By its name; nothing for any other.
std::optional<MeanLengths> mean_lengths(std::string_view name);

// A whole number from 1 on. Equal engines give equal numbers on every machine.
int32_t draw_geometric(double mean, std::mt19937_64& random);

// `count` requests that all come at once. invalid_input: a context below the means, where nearly
// every pair would be drawn again.
Result<Workload> draw_workload(const MeanLengths& lengths, int32_t count, int32_t context_length,
                               uint64_t seed);

// Replaces the arrivals by those of a Poisson process of `rate` requests a second.
void draw_arrivals(Workload& workload, double rate, uint64_t seed);

}  // namespace octavo::simulate
