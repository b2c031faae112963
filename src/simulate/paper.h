// What "Efficient Memory Management for Large Language Model Serving with PagedAttention" (arXiv
// 2309.06180) reports, to stand beside what a simulation gives. Never an input of one.
//
// Its machine: OPT-13B in f16 on one A100 of 40 GB, 12 GB of it for K and V, a context of 2048.
#pragma once

#include <array>
#include <cstdint>

namespace octavo::simulate::paper {

inline constexpr double kMissing = -1;

// One for each of: reserved to the longest, to a power of two, to the true length; in blocks.
using Policies = std::array<double, 4>;
// Figure 2: percent of the memory for K and V that holds token states (ShareGPT).
inline constexpr Policies kTokenPercent = {20.4, 26.8, 38.2, 96.3};
// Figure 13: requests in the batch, at 2 requests a second (ShareGPT) and 30 (Alpaca).
inline constexpr Policies kShareGptBatch = {7.00, 9.81, 13.62, 30.42};
inline constexpr Policies kAlpacaBatch = {7.00, 43.24, 72.75, 132.44};

// One for each of 2, 4 and 6 outputs or beams: percent of the blocks saved by sharing.
using Savings = std::array<double, 3>;
// Figure 15 (Alpaca).
inline constexpr Savings kAlpacaParallel = {6.09, 8.53, 9.79};
inline constexpr Savings kAlpacaBeam = {37.56, 53.13, 55.16};
// Section 6.3 gives the ends of the range only (ShareGPT).
inline constexpr Savings kShareGptParallel = {16.2, kMissing, 30.5};
inline constexpr Savings kShareGptBeam = {44.3, kMissing, 66.3};

}  // namespace octavo::simulate::paper
