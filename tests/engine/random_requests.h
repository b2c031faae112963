// Random requests with every parameter of sampling, several outputs, priorities and beam searches,
// for tests that compare a crowd with each alone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "octavo/engine.h"

namespace octavo {

// One that fits into the tight pool with all its beams.
inline void make_beam_search(Request& request, int32_t width, int32_t outputs) {
  request.beam = BeamParams{.width = width};
  request.outputs = std::clamp(outputs, 1, width);
  request.prompt.resize(std::min<size_t>(request.prompt.size(), 20));
  request.sampling.max_tokens = std::min(request.sampling.max_tokens, 12);
  request.sampling.min_tokens = std::min(request.sampling.min_tokens, 6);
  request.sampling.repetition_penalty = 1.0F;
  request.sampling.frequency_penalty = 0.0F;
}

// Prompts of 1 to 89 tokens, a third of which begin alike, and answers of at most 40.
inline std::vector<Request> random_requests(uint32_t seed, int32_t vocabulary, int count) {
  std::mt19937 random(seed);
  const auto up_to = [&random](uint32_t n) { return static_cast<int32_t>(random() % n); };
  std::vector<int32_t> common(48);  // a system prompt that a third of the requests share
  for (int32_t& token : common) token = up_to(static_cast<uint32_t>(vocabulary));
  std::vector<Request> requests;
  for (int i = 0; i < count; ++i) {
    Request request;
    if (up_to(3) == 0) {
      request.prompt.assign(common.begin(), common.begin() + 16 + up_to(33));
    }
    const int32_t own = 1 + up_to(40);
    for (int32_t k = 0; k < own; ++k) {
      request.prompt.push_back(up_to(static_cast<uint32_t>(vocabulary)));
    }
    request.outputs = up_to(5) == 0 ? 1 + up_to(4) : 1;
    request.priority = up_to(3);
    SamplingParams& sampling = request.sampling;
    sampling.max_tokens = 1 + up_to(40);
    sampling.temperature = up_to(4) == 0 ? 0.0F : 0.5F + 0.1F * static_cast<float>(up_to(10));
    sampling.top_k = up_to(2) == 0 ? 0 : 1 + up_to(40);
    sampling.top_p = up_to(2) == 0 ? 1.0F : 0.5F + 0.05F * static_cast<float>(up_to(10));
    sampling.min_p = up_to(3) == 0 ? 0.05F : 0.0F;
    sampling.repetition_penalty = up_to(3) == 0 ? 1.2F : 1.0F;
    sampling.frequency_penalty = up_to(4) == 0 ? 0.3F : 0.0F;
    sampling.ignore_eos = up_to(2) == 0;
    sampling.min_tokens = up_to(3) == 0 ? up_to(static_cast<uint32_t>(sampling.max_tokens)) : 0;
    sampling.seed = random();
    sampling.logprobs = up_to(2) == 0 ? 3 : 0;
    if (up_to(8) == 0) make_beam_search(request, 2 + up_to(4), up_to(8));
    requests.push_back(request);
  }
  return requests;
}

}  // namespace octavo
