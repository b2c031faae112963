// Answers in OpenAI's form: whole objects and the chunks of a stream, from the engine's events.
//
// Pure bookkeeping over events; one thread. A chat's answer has messages and deltas, a completion's
// texts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "octavo/engine.h"
#include "server/exchange.h"
#include "server/json_body.h"

namespace octavo::server {

// One output, as far as it has come.
struct Choice {
  std::string text;
  std::vector<TokenInfo> tokens;
  FinishReason finish = FinishReason::none;

  void add(Event event);
  double mean_logprob() const;
};

Json usage_json(const Usage& usage);

// What the request asked for.
struct AnswerOptions {
  bool logprobs = false;
  bool usage_at_end = false;  // of a stream
};

class Answer {
 public:
  // The engine must outlive it.
  Answer(const Engine& engine, std::string model, std::string id, const AnswerOptions& options);
  virtual ~Answer() = default;
  bool has_logprobs() const { return options_.logprobs; }
  bool tells_usage() const { return options_.usage_at_end; }

  // --- a stream ---
  // What comes before anything of output `index`; null: nothing.
  virtual Json first_chunk(size_t index) = 0;
  virtual Json chunk(size_t index, const Event& event) = 0;
  Json usage_chunk(const Usage& usage) const;

  // --- a whole answer ---
  virtual Json whole(const std::vector<Choice>& choices, const Usage& usage) = 0;

 protected:
  Json envelope(const char* object) const;
  Json chunk_of(Json choice) const;
  std::string token_bytes(int32_t token) const { return engine_.token_bytes(token); }

  const Engine& engine_;
  const std::string model_;
  const std::string id_;
  const int64_t created_;
  const AnswerOptions options_;

 private:
  virtual const char* chunk_object() const = 0;
};

class ChatAnswer final : public Answer {
 public:
  using Answer::Answer;
  Json first_chunk(size_t index) override;
  Json chunk(size_t index, const Event& event) override;
  Json whole(const std::vector<Choice>& choices, const Usage& usage) override;

 private:
  const char* chunk_object() const override { return "chat.completion.chunk"; }
  Json logprobs(const std::vector<TokenInfo>& tokens) const;
};

class TextAnswer final : public Answer {
 public:
  using Answer::Answer;
  Json first_chunk(size_t index) override;
  Json chunk(size_t index, const Event& event) override;
  Json whole(const std::vector<Choice>& choices, const Usage& usage) override;

  // The prompt of output `index`, which begins its text. `scored`: its tokens but the first, with
  // their log probabilities; empty when those were not asked for.
  void echo(size_t index, std::string text, int32_t first_token, std::vector<TokenInfo> scored);

 private:
  struct Echo {
    std::string text;
    int32_t first_token = 0;
    std::vector<TokenInfo> scored;
  };

  const char* chunk_object() const override { return "text_completion"; }
  Json choice_json(size_t index, std::string_view text, const std::vector<TokenInfo>& tokens,
                   FinishReason finish, const Echo* echo);
  Json logprobs(size_t index, const std::vector<TokenInfo>& tokens, const Echo* echo);
  const Echo* echo_of(size_t index) const;

  std::vector<Echo> echoes_;     // by output; empty: none was asked for
  std::vector<size_t> offsets_;  // by output: characters of its tokens so far, for text_offset
};

}  // namespace octavo::server
