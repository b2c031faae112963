// Helpers of the engine tests: an engine on a small model, and a request run to its end.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "octavo/engine.h"

namespace octavo {

inline std::string golden_model(const std::string& name) {
  return (std::filesystem::path(OCTAVO_TEST_DATA) / "golden" / (name + ".gguf")).string();
}

inline EngineConfig golden_config(const std::string& model) {
  EngineConfig config;
  config.model_path = golden_model(model);
  config.threads = 2;
  return config;
}

// The most probable tokens, as many as asked for.
inline Request greedy(std::vector<int32_t> prompt, int32_t max_tokens) {
  Request request;
  request.prompt = std::move(prompt);
  request.sampling.temperature = 0.0F;
  request.sampling.max_tokens = max_tokens;
  request.sampling.ignore_eos = true;
  return request;
}

// What a test cannot go on without.
template <class T>
T must(Result<T> result) {
  if (!result) {
    ADD_FAILURE() << result.error().message;
    std::abort();
  }
  return std::move(result).value();
}

inline std::unique_ptr<Engine> make_engine(const EngineConfig& config) {
  return must(Engine::create(config));
}

// Everything that came out of one output.
struct OutputRecord {
  std::string text;
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;  // of the tokens and of their alternatives
  std::vector<float> embedding;
  FinishReason finish = FinishReason::none;

  bool operator==(const OutputRecord&) const = default;
};

inline void record(const Event& event, std::vector<OutputRecord>& outputs) {
  OutputRecord& output = outputs.at(static_cast<size_t>(event.output));
  EXPECT_EQ(output.finish, FinishReason::none) << "an event after the last one";
  output.text += event.text;
  for (const TokenInfo& token : event.tokens) {
    output.tokens.push_back(token.token);
    output.logprobs.push_back(token.logprob);
    for (const TokenLogprob& other : token.top) output.logprobs.push_back(other.logprob);
  }
  if (!event.embedding.empty()) output.embedding = event.embedding;
  output.finish = event.finish;
}

inline std::vector<OutputRecord> run_to_end(Engine& engine, const Request& request) {
  std::vector<OutputRecord> outputs(static_cast<size_t>(request.outputs));
  auto stream = engine.submit(request);
  if (!stream) {
    ADD_FAILURE() << stream.error().message;
    return outputs;
  }
  while (auto event = (*stream)->next()) record(*event, outputs);
  return outputs;
}

}  // namespace octavo
