#include "server/openai/tokenize.h"

#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/utf8.h"
#include "server/fields.h"
#include "server/json_body.h"
#include "server/openai/chat_request.h"
#include "server/openai/completion_request.h"
#include "server/openai/send.h"

namespace octavo::server {
namespace {

// A body's answer, and the fields that nobody read.
struct Reply {
  std::string json;
  std::vector<std::string> unknown;
};

// llama.cpp writes a token that is a part of a character as the list of its bytes.
Json piece_json(const std::string& piece) {
  if (replace_invalid_utf8(piece) == piece) return piece;
  return std::vector<uint8_t>(piece.begin(), piece.end());
}

// What llama.cpp's server answers.
Result<Json> tokenize_content(Fields& fields, const Engine& engine) {
  OCTAVO_ASSIGN(const std::string content, fields.text("content", ""));
  TokenizeOptions options;
  OCTAVO_ASSIGN(options.add_special, fields.flag("add_special", false));
  OCTAVO_ASSIGN(options.parse_special, fields.flag("parse_special", true));
  OCTAVO_ASSIGN(const bool with_pieces, fields.flag("with_pieces", false));
  OCTAVO_ASSIGN(const std::vector<int32_t> tokens, engine.tokenize(content, options));
  if (!with_pieces) return Json{{"tokens", tokens}};
  Json list = Json::array();
  for (const int32_t token : tokens) {
    list.push_back({{"id", token}, {"piece", piece_json(engine.token_bytes(token))}});
  }
  return Json{{"tokens", std::move(list)}};
}

// What vLLM's server answers.
Result<Json> tokenize_prompt(Fields& fields, const Engine& engine) {
  std::vector<int32_t> tokens;
  if (fields.find("messages") != nullptr) {
    OCTAVO_TRY(fields.refuse("add_special_tokens", {false}));
    OCTAVO_TRY(fields.refuse("tools"));
    OCTAVO_ASSIGN(const Conversation conversation,
                  read_conversation(fields, engine.model().chat_template));
    OCTAVO_ASSIGN(tokens, engine.apply_chat_template(conversation.messages, conversation.options));
  } else {
    if (fields.find("prompt") == nullptr) {
      return invalid_input("prompt: it is missing, and so are messages and content");
    }
    OCTAVO_ASSIGN(const std::string prompt, fields.text("prompt", ""));
    TokenizeOptions options;
    OCTAVO_ASSIGN(options.add_special, fields.flag("add_special_tokens", true));
    OCTAVO_ASSIGN(tokens, engine.tokenize(prompt, options));
  }
  OCTAVO_ASSIGN(const bool with_texts, fields.flag("return_token_strs", false));
  Json json = {{"count", tokens.size()},
               {"max_model_len", engine.model().context_length},
               {"tokens", tokens},
               {"token_strs", nullptr}};
  if (with_texts) {
    json["token_strs"] = Json::array();
    for (const int32_t token : tokens) json["token_strs"].push_back(engine.token_bytes(token));
  }
  return json;
}

Result<Json> tokenize_json(Fields& fields, const Engine& engine) {
  const bool is_llama_cpps = fields.find("content") != nullptr;
  return is_llama_cpps ? tokenize_content(fields, engine) : tokenize_prompt(fields, engine);
}

Result<Json> detokenize_json(Fields& fields, const Engine& engine) {
  const Json* given = fields.find("tokens");
  if (given == nullptr) return invalid_input("tokens: it is missing");
  OCTAVO_ASSIGN(const std::vector<int32_t> tokens, read_token_ids(*given, "tokens"));
  OCTAVO_ASSIGN(const std::string text, engine.detokenize(tokens));
  return Json{{"prompt", text}, {"content", text}};
}

Result<Json> template_json(Fields& fields, const Engine& engine) {
  OCTAVO_TRY(fields.refuse("tools"));
  OCTAVO_ASSIGN(const Conversation conversation,
                read_conversation(fields, engine.model().chat_template));
  OCTAVO_ASSIGN(const std::string prompt,
                engine.render_chat_template(conversation.messages, conversation.options));
  return Json{{"prompt", prompt}};
}

using Answerer = Result<Json> (*)(Fields&, const Engine&);

Result<Reply> reply_to(const Service& service, const std::string& body, Answerer answerer) {
  OCTAVO_ASSIGN(const Json json, parse_json_object(body));
  Fields fields(json);
  OCTAVO_TRY(check_model(fields, service.model_name()));
  OCTAVO_ASSIGN(const Json answer, answerer(fields, service.engine));
  return Reply{dump(answer), fields.unknown()};
}

asio::awaitable<void> answer_by(const Service& service, Exchange& exchange, Answerer answerer) {
  Result<Reply> reply =
      co_await service.run_on_worker([&service, &body = exchange.request().body,
                                      answerer] { return reply_to(service, body, answerer); },
                                     lane_of(exchange.request()));
  if (!reply) co_return co_await respond_error(exchange, reply.error());
  exchange.note_ignored(std::move(reply->unknown));
  co_await respond_text(exchange, std::move(reply->json));
}

}  // namespace

asio::awaitable<void> tokenize(const Service& service, Exchange& exchange) {
  return answer_by(service, exchange, tokenize_json);
}

asio::awaitable<void> detokenize(const Service& service, Exchange& exchange) {
  return answer_by(service, exchange, detokenize_json);
}

asio::awaitable<void> apply_template(const Service& service, Exchange& exchange) {
  return answer_by(service, exchange, template_json);
}

}  // namespace octavo::server
