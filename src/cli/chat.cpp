#include "cli/chat.h"

#include <chrono>
#include <thread>
#include <utility>

#include "base/error.h"

namespace octavo::cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point start, Clock::time_point end) {
  return std::chrono::duration<double>(end - start).count();
}

// The engine's figures once it has put the finished request away, which it does right after the
// last event.
EngineStats settled_stats(const Engine& engine) {
  constexpr int kMostTries = 100;
  EngineStats stats = engine.stats();
  for (int tries = 0; stats.running > 0 && tries < kMostTries; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    stats = engine.stats();
  }
  return stats;
}

void read_answer(Stream& stream, Answer& answer,
                 const std::function<void(std::string_view)>& write) {
  const auto start = Clock::now();
  auto first = start;
  auto last = start;
  int64_t first_tokens = 0;  // that came with the first event
  while (const auto event = stream.next()) {
    last = Clock::now();
    if (answer.tokens == 0) {
      first = last;
      first_tokens = static_cast<int64_t>(event->tokens.size());
    }
    answer.tokens += static_cast<int64_t>(event->tokens.size());
    answer.text += event->text;
    answer.finish = event->finish;
    write(event->text);
  }
  answer.first_token_seconds = seconds_between(start, first);
  const double rest_seconds = seconds_between(first, last);
  if (answer.tokens > first_tokens && rest_seconds > 0) {
    answer.tokens_per_second = static_cast<double>(answer.tokens - first_tokens) / rest_seconds;
  }
}

}  // namespace

Result<std::vector<int32_t>> Chat::prompt_for(const std::string& text) const {
  if (options_.raw) return engine_.tokenize(text, {});
  std::vector<ChatMessage> messages;
  if (!options_.system.empty()) messages.push_back({"system", options_.system});
  messages.insert(messages.end(), turns_.begin(), turns_.end());
  messages.push_back({"user", text});
  return engine_.apply_chat_template(messages);
}

Result<Answer> Chat::ask(const std::string& text, const Interrupt& interrupt,
                         const std::function<void(std::string_view)>& write) {
  Request request;
  OCTAVO_ASSIGN(request.prompt, prompt_for(text));
  Answer answer;
  answer.prompt_tokens = static_cast<int64_t>(request.prompt.size());
  const int64_t context = engine_.model().context_length;
  if (answer.prompt_tokens >= context) {
    return invalid_input("the prompt has {} tokens and the context only {}", answer.prompt_tokens,
                         context);
  }
  request.sampling = options_.sampling;
  // Near the context's end, a shorter answer is better than none.
  const auto room = static_cast<int32_t>(context - answer.prompt_tokens);
  request.sampling.max_tokens = std::min(request.sampling.max_tokens, room);
  const int64_t hits_before = engine_.stats().prefix_hit_tokens;
  OCTAVO_ASSIGN(const std::unique_ptr<Stream> stream, engine_.submit(std::move(request)));
  {
    const OnInterrupt stop(interrupt, [&stream] { stream->cancel(); });
    read_answer(*stream, answer, write);
  }
  answer.stats = settled_stats(engine_);
  answer.prefix_tokens = answer.stats.prefix_hit_tokens - hits_before;
  if (!options_.raw && !answer.text.empty()) {
    turns_.push_back({"user", text});
    turns_.push_back({"assistant", answer.text});
  }
  return answer;
}

}  // namespace octavo::cli
