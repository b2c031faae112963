#include "server/openai/answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <iterator>
#include <utility>

#include "base/utf8.h"
#include "engine/request_json.h"

namespace octavo::server {

void Choice::add(Event event) {
  text += event.text;
  tokens.insert(tokens.end(), std::make_move_iterator(event.tokens.begin()),
                std::make_move_iterator(event.tokens.end()));
  finish = event.finish;
}

double Choice::mean_logprob() const {
  double sum = 0.0;
  for (const TokenInfo& token : tokens) sum += token.logprob;
  return tokens.empty() ? 0.0 : sum / static_cast<double>(tokens.size());
}

Json usage_json(const Usage& usage) {
  Json json;
  json["prompt_tokens"] = usage.prompt_tokens;
  json["completion_tokens"] = usage.generated_tokens;
  json["total_tokens"] = usage.prompt_tokens + usage.generated_tokens;
  json["prompt_tokens_details"]["cached_tokens"] = usage.cached_tokens;
  return json;
}

Answer::Answer(const Engine& engine, std::string model, std::string id,
               const AnswerOptions& options)
    : engine_(engine),
      model_(std::move(model)),
      id_(std::move(id)),
      created_(std::time(nullptr)),
      options_(options) {}

Json Answer::envelope(const char* object) const {
  Json json;
  json["id"] = id_;
  json["object"] = object;
  json["created"] = created_;
  json["model"] = model_;
  json["system_fingerprint"] = "octavo-" OCTAVO_VERSION;
  json["choices"] = Json::array();
  return json;
}

Json Answer::chunk_of(Json choice) const {
  Json json = envelope(chunk_object());
  json["choices"].push_back(std::move(choice));
  if (tells_usage()) json["usage"] = nullptr;  // every chunk has the member, the last one its value
  return json;
}

Json Answer::usage_chunk(const Usage& usage) const {
  Json json = envelope(chunk_object());
  json["usage"] = usage_json(usage);
  return json;
}

namespace {

Json finish_json(FinishReason finish) {
  return finish == FinishReason::none ? Json() : Json(finish_reason_name(finish));
}

size_t characters(const std::string& text) {
  const auto starts = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; };
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), starts));
}

Json bytes_json(const std::string& text) {
  Json bytes = Json::array();
  for (const char c : text) bytes.push_back(static_cast<unsigned char>(c));
  return bytes;
}

// A completion has no list of bytes: a token that is a part of a character is written as OpenAI
// does, "bytes:\xe2\x80".
std::string token_name(std::string bytes) {
  if (replace_invalid_utf8(bytes) == bytes) return bytes;
  std::string name = "bytes:";
  for (const char c : bytes) name += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return name;
}

}  // namespace

Json ChatAnswer::logprobs(const std::vector<TokenInfo>& tokens) const {
  const auto entry = [this](int32_t token, float logprob) {
    const std::string text = token_bytes(token);
    return Json{{"token", text}, {"logprob", logprob}, {"bytes", bytes_json(text)}};
  };
  Json content = Json::array();
  for (const TokenInfo& info : tokens) {
    Json& token = content.emplace_back(entry(info.token, info.logprob));
    token["top_logprobs"] = Json::array();
    for (const TokenLogprob& other : info.top) {
      token["top_logprobs"].push_back(entry(other.token, other.logprob));
    }
  }
  return Json{{"content", std::move(content)}, {"refusal", nullptr}};
}

Json ChatAnswer::first_chunk(size_t index) {
  return chunk_of({{"index", index},
                   {"delta", {{"role", "assistant"}, {"content", ""}}},
                   {"logprobs", nullptr},
                   {"finish_reason", nullptr}});
}

Json ChatAnswer::chunk(size_t index, const Event& event) {
  Json delta = Json::object();
  if (!event.text.empty()) delta["content"] = event.text;
  return chunk_of({{"index", index},
                   {"delta", std::move(delta)},
                   {"logprobs", has_logprobs() ? logprobs(event.tokens) : Json()},
                   {"finish_reason", finish_json(event.finish)}});
}

Json ChatAnswer::whole(const std::vector<Choice>& choices, const Usage& usage) {
  Json json = envelope("chat.completion");
  for (size_t i = 0; i < choices.size(); ++i) {
    const Choice& choice = choices[i];
    json["choices"].push_back(
        {{"index", i},
         {"message", {{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}}},
         {"logprobs", has_logprobs() ? logprobs(choice.tokens) : Json()},
         {"finish_reason", finish_json(choice.finish)}});
  }
  json["usage"] = usage_json(usage);
  return json;
}

void TextAnswer::echo(size_t index, std::string text, int32_t first_token,
                      std::vector<TokenInfo> scored) {
  if (echoes_.size() <= index) echoes_.resize(index + 1);
  echoes_[index] = {std::move(text), first_token, std::move(scored)};
}

const TextAnswer::Echo* TextAnswer::echo_of(size_t index) const {
  return index < echoes_.size() ? &echoes_[index] : nullptr;
}

// The tokens' texts, where they begin, and their probabilities. The first token of a prompt has
// none.
Json TextAnswer::logprobs(size_t index, const std::vector<TokenInfo>& tokens, const Echo* echo) {
  if (offsets_.size() <= index) offsets_.resize(index + 1, 0);
  size_t& offset = offsets_[index];
  Json json = {{"text_offset", Json::array()},
               {"token_logprobs", Json::array()},
               {"tokens", Json::array()},
               {"top_logprobs", Json::array()}};
  const auto add = [&](int32_t token, Json logprob, Json top) {
    const std::string text = token_bytes(token);
    json["tokens"].push_back(token_name(text));
    json["token_logprobs"].push_back(std::move(logprob));
    json["top_logprobs"].push_back(std::move(top));
    json["text_offset"].push_back(offset);
    offset += characters(text);
  };
  const auto add_all = [&](const std::vector<TokenInfo>& infos) {
    for (const TokenInfo& info : infos) {
      Json top = Json::object();
      for (const TokenLogprob& other : info.top)
        top[token_name(token_bytes(other.token))] = other.logprob;
      add(info.token, info.logprob, std::move(top));
    }
  };
  if (echo != nullptr) {
    add(echo->first_token, nullptr, nullptr);
    add_all(echo->scored);
  }
  add_all(tokens);
  return json;
}

Json TextAnswer::choice_json(size_t index, std::string_view text,
                             const std::vector<TokenInfo>& tokens, FinishReason finish,
                             const Echo* echo) {
  std::string whole_text = echo != nullptr ? echo->text : std::string();
  whole_text += text;
  return {{"index", index},
          {"text", std::move(whole_text)},
          {"logprobs", has_logprobs() ? logprobs(index, tokens, echo) : Json()},
          {"finish_reason", finish_json(finish)}};
}

Json TextAnswer::first_chunk(size_t index) {
  const Echo* echo = echo_of(index);
  if (echo == nullptr) return {};
  return chunk_of(choice_json(index, "", {}, FinishReason::none, echo));
}

Json TextAnswer::chunk(size_t index, const Event& event) {
  return chunk_of(choice_json(index, event.text, event.tokens, event.finish, nullptr));
}

Json TextAnswer::whole(const std::vector<Choice>& choices, const Usage& usage) {
  Json json = envelope("text_completion");
  for (size_t i = 0; i < choices.size(); ++i) {
    const Choice& choice = choices[i];
    json["choices"].push_back(
        choice_json(i, choice.text, choice.tokens, choice.finish, echo_of(i)));
  }
  json["usage"] = usage_json(usage);
  return json;
}

}  // namespace octavo::server
