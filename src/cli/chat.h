// Chat: a conversation with a model, turn by turn; or plain completions, each for itself.
//
// Holds the messages; refers to the engine, which must outlive it. One thread, beside that of
// OnInterrupt.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/interrupt.h"
#include "octavo/engine.h"

namespace octavo::cli {

// What came of one question.
struct Answer {
  std::string text;
  FinishReason finish = FinishReason::none;
  int64_t prompt_tokens = 0;
  int64_t tokens = 0;
  int64_t prefix_tokens = 0;  // of the prompt, found in the cache
  double first_token_seconds = 0.0;
  double tokens_per_second = 0.0;  // after the first; 0 when there was no second
  EngineStats stats;               // right after
};

struct ChatOptions {
  SamplingParams sampling;
  std::string system;  // the system message; empty: none
  bool raw = false;    // plain completions, without the model's template
};

class Chat {
 public:
  Chat(Engine& engine, ChatOptions options) : engine_(engine), options_(std::move(options)) {}

  // Asks, and hands the answer's text to `write` as it comes. A pending interrupt stops it; what
  // came until then stays in the conversation. After an error the conversation is as before.
  Result<Answer> ask(const std::string& text, const Interrupt& interrupt,
                     const std::function<void(std::string_view)>& write);

  void clear() { turns_.clear(); }
  size_t turns() const { return turns_.size(); }
  void set_system(std::string text) { options_.system = std::move(text); }
  const std::string& system() const { return options_.system; }

 private:
  Result<std::vector<int32_t>> prompt_for(const std::string& text) const;

  Engine& engine_;
  ChatOptions options_;
  std::vector<ChatMessage> turns_;  // of user and assistant
};

}  // namespace octavo::cli
