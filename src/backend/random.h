// A counter-based random number: a pure function of what is drawn, with no state to share or
// restore.
//
// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
#pragma once

#include <array>
#include <cstdint>

namespace octavo {

// Four independent 32-bit words for a 128-bit counter under a 64-bit key.
constexpr std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter,
                                             std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t left = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t right = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {
        static_cast<uint32_t>(right >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(right),
        static_cast<uint32_t>(left >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(left)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

// A number in [0, 1) with 53 random bits, for draw `draw` of the token at `position` of an output.
constexpr double uniform_draw(uint64_t seed, uint32_t output_index, uint32_t position,
                              uint32_t draw) {
  const std::array<uint32_t, 4> words =
      philox4x32({output_index, position, draw, 0},
                 {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  const uint64_t bits = (uint64_t{words[0]} << 32 | words[1]) >> 11;
  return static_cast<double>(bits) * 0x1p-53;
}

}  // namespace octavo
