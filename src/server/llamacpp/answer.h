// Answers in the form of llama.cpp's /completion, from the engine's events. One thread.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "octavo/engine.h"
#include "server/json_body.h"
#include "server/llamacpp/completion_request.h"
#include "server/openai/answer.h"

namespace octavo::server {

// What the sampling parameters are called there.
Json llamacpp_settings(const SamplingParams& sampling);

class LlamaCppAnswer {
 public:
  using Clock = std::chrono::steady_clock;

  // All must outlive it. The request is submitted after it.
  LlamaCppAnswer(const Engine& engine, const LlamaCppRequest& completion, std::string model);

  // Takes an event of output `index`, counted over all prompts, and gives its chunk of a stream;
  // null: there is nothing to send.
  Json chunk(size_t index, Event event);
  // What each output came to; null while it is not over.
  const std::vector<Json>& finals() const { return finals_; }

 private:
  struct Output {
    Choice so_far;
    Clock::time_point first{};  // of its tokens
    Clock::time_point last{};
  };

  size_t prompt_of(size_t index) const;
  Json token_json(int32_t token, double logprob) const;
  Json probabilities(const std::vector<TokenInfo>& tokens) const;
  Json timings(size_t index) const;
  Json final_json(size_t index) const;

  const Engine& engine_;
  const LlamaCppRequest& completion_;
  const std::string model_;
  const Clock::time_point submitted_ = Clock::now();
  std::vector<PromptReport> reports_;  // by prompt
  std::vector<Output> outputs_;
  std::vector<Json> finals_;
};

}  // namespace octavo::server
