// End to end: how fast the engine answers, for the shapes that bench/compare_peer.py compares.
//
//   engine_bench MODEL.gguf THREADS
//
// Prints one JSON object: tokens per second of a prompt of 512 tokens, and of 1 and 8 sequences
// that generate 128 tokens each after a prompt of 8 (greedy, end tokens never drawn, no cached
// prefix).
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "octavo/engine.h"

namespace octavo {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Request make_request(int32_t vocabulary, int32_t sequence, int32_t prompt_length,
                     int32_t generate) {
  Request request;
  for (int32_t i = 0; i < prompt_length; ++i) {
    request.prompt.push_back((1000 + 37 * i + 11 * sequence) % vocabulary);
  }
  request.sampling.temperature = 0.0F;
  request.sampling.max_tokens = generate;
  request.sampling.ignore_eos = true;
  return request;
}

struct Timing {
  double first_seconds = 0.0;  // until the first token of the first sequence
  double rest_seconds = 0.0;   // from there to the last token of all
};

Timing run(Engine& engine, int32_t sequences, int32_t prompt_length, int32_t generate) {
  const Clock::time_point start = Clock::now();
  std::vector<std::unique_ptr<Stream>> streams;
  for (int32_t i = 0; i < sequences; ++i) {
    auto stream =
        engine.submit(make_request(engine.model().vocabulary, i, prompt_length, generate));
    if (!stream) {
      std::fprintf(stderr, "engine_bench: %s\n", stream.error().message.c_str());
      std::exit(1);
    }
    streams.push_back(std::move(*stream));
  }
  Timing timing;
  for (const auto& stream : streams) {
    while (stream->next()) {
      if (timing.first_seconds == 0.0) timing.first_seconds = seconds_since(start);
    }
  }
  timing.rest_seconds = seconds_since(start) - timing.first_seconds;
  return timing;
}

int bench(const char* path, int threads) {
  EngineConfig config;
  config.model_path = path;
  config.threads = threads;
  config.prefix_cache = false;
  auto engine = Engine::create(config);
  if (!engine) {
    std::fprintf(stderr, "engine_bench: %s\n", engine.error().message.c_str());
    return 2;
  }
  constexpr int32_t kPrompt = 512;
  constexpr int32_t kGenerate = 128;
  run(**engine, 1, 8, 16);  // touches every weight once
  const double prompt = kPrompt / run(**engine, 1, kPrompt, 1).first_seconds;
  const double one = (kGenerate - 1) / run(**engine, 1, 8, kGenerate).rest_seconds;
  const double eight = 8 * (kGenerate - 1) / run(**engine, 8, 8, kGenerate).rest_seconds;
  std::printf("{\"prompt_512\": %.1f, \"decode_1\": %.1f, \"decode_8\": %.1f}\n", prompt, one,
              eight);
  return 0;
}

}  // namespace
}  // namespace octavo

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: engine_bench MODEL.gguf THREADS\n");
    return 2;
  }
  return octavo::bench(argv[1], std::atoi(argv[2]));
}
