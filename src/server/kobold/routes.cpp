#include "server/kobold/routes.h"

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "server/api_error.h"
#include "server/generation.h"
#include "server/kobold/generate_request.h"
#include "server/kobold/running.h"
#include "server/neighbour.h"
#include "server/openai/send.h"
#include "server/sse.h"

namespace octavo::server {
namespace {

// {"detail": {"msg", "type"}}
Json error_json(const ApiError& error) {
  const char* type = error.status >= 500   ? "service_unavailable"
                     : error.status == 429 ? "too_many_requests"
                                           : "bad_input";
  return {{"detail", {{"msg", error.message}, {"type", type}}}};
}

asio::awaitable<void> refuse(Exchange& exchange, const ApiError& error) {
  HttpResponse response = error_response(error, dump(error_json(error)));
  co_await exchange.respond(std::move(response));
}

Result<KoboldRequest> prepare(const Service& service, const Exchange& exchange) {
  OCTAVO_ASSIGN(const Json body, parse_json_object(exchange.request().body));
  Fields fields(body);
  return read_kobold_request(fields, service.engine);
}

// What was cancelled by its key ends as if it had stopped.
const char* finish_name(FinishReason finish) {
  return finish == FinishReason::length ? "length" : "stop";
}

// "event: message", for which KoboldCpp's clients listen.
std::string message(std::string_view text, const Json& finish) {
  return "event: message\n" + sse_event({{"token", text}, {"finish_reason", finish}});
}

// The stop string, where the client wants to see it.
std::string shown_stop(const Service& service, const KoboldRequest& kobold, const Choice& choice) {
  if (kobold.trim_stop || choice.finish != FinishReason::stop) return {};
  return stop_string_of(service.engine, choice.tokens, kobold.request.sampling.stop);
}

asio::awaitable<void> generate(const Service& service, RunningGenerations& running,
                               Exchange& exchange, bool is_stream) {
  const Result<KoboldRequest> kobold = co_await service.run_on_worker(
      [&service, &exchange] { return prepare(service, exchange); }, lane_of(exchange.request()));
  if (!kobold) co_return co_await refuse(exchange, api_error(kobold.error()));
  exchange.note_ignored(kobold->unknown);
  std::vector<Request> requests = {kobold->request};
  auto generation = Generation::start(service, exchange, std::move(requests));
  if (!generation) co_return co_await refuse(exchange, api_error(generation.error()));
  RunningGenerations::Entry entry(running, exchange, kobold->key, **generation);
  if (is_stream) {
    HttpResponse head = sse_head();
    co_await exchange.begin_stream(std::move(head));
    (*generation)->ping(kSsePing, kSsePingEvery);
  }
  Choice choice;
  for (;;) {
    std::optional<GenerationEvent> next = co_await (*generation)->next();
    if (!next) break;
    if (next->event.finish == FinishReason::no_memory) {
      const ApiError& failure = *(*generation)->failure();
      if (!is_stream) co_return co_await refuse(exchange, failure);
      const std::string bytes = sse_event(error_json(failure));
      co_return co_await exchange.write(bytes);
    }
    std::string text = next->event.text;
    choice.add(std::move(next->event));
    const bool is_over = choice.finish != FinishReason::none;
    if (is_over) text += shown_stop(service, *kobold, choice);
    entry.append(text);
    if (!is_stream || (text.empty() && !is_over)) continue;
    const std::string bytes = message(text, is_over ? Json(finish_name(choice.finish)) : Json());
    co_await exchange.write(bytes);
  }
  if (is_stream || exchange.client_gone()) co_return;
  choice.text += shown_stop(service, *kobold, choice);
  const Json result = {{"text", choice.text},
                       {"finish_reason", finish_name(choice.finish)},
                       {"prompt_tokens", kobold->request.prompt.size()},
                       {"completion_tokens", choice.tokens.size()}};
  const Json answer = {{"results", Json::array({result})}};
  co_await respond_json(exchange, answer);
}

// {"genkey": ...}, which need not be there.
Result<std::string> read_key(Exchange& exchange) {
  const std::string& body = exchange.request().body;
  if (body.empty()) return std::string();
  OCTAVO_ASSIGN(const Json json, parse_json_object(body));
  Fields fields(json);
  OCTAVO_ASSIGN(std::string key, fields.text("genkey", ""));
  exchange.note_ignored(fields.unknown());
  return key;
}

asio::awaitable<void> check(RunningGenerations& running, Exchange& exchange) {
  const Result<std::string> key = read_key(exchange);
  if (!key) co_return co_await refuse(exchange, api_error(key.error()));
  const Json result = {{"text", running.text(exchange, *key)}};
  const Json answer = {{"results", Json::array({result})}};
  co_await respond_json(exchange, answer);
}

asio::awaitable<void> abort(RunningGenerations& running, Exchange& exchange) {
  const Result<std::string> key = read_key(exchange);
  if (!key) co_return co_await refuse(exchange, api_error(key.error()));
  const Json answer = {{"success", running.cancel(exchange, *key) ? "true" : "false"}};
  co_await respond_json(exchange, answer);
}

struct PromptTokens {
  std::vector<int32_t> ids;
  std::vector<std::string> unknown;  // fields that nobody reads
};

Result<PromptTokens> tokens_of(const Service& service, const Exchange& exchange) {
  OCTAVO_ASSIGN(const Json body, parse_json_object(exchange.request().body));
  Fields fields(body);
  if (fields.find("prompt") == nullptr) {
    return Error{ErrorKind::invalid_input, "prompt: it is missing"};
  }
  OCTAVO_ASSIGN(const std::string prompt, fields.text("prompt", ""));
  OCTAVO_ASSIGN(const bool with_bos, fields.flag("special", true));
  OCTAVO_ASSIGN(std::vector<int32_t> ids,
                service.engine.tokenize(prompt, {.add_special = with_bos, .parse_special = true}));
  return PromptTokens{std::move(ids), fields.unknown()};
}

asio::awaitable<void> count_tokens(const Service& service, Exchange& exchange) {
  const auto tokens = co_await service.run_on_worker(
      [&service, &exchange] { return tokens_of(service, exchange); }, lane_of(exchange.request()));
  if (!tokens) co_return co_await refuse(exchange, api_error(tokens.error()));
  exchange.note_ignored(tokens->unknown);
  const Json answer = {{"value", tokens->ids.size()}, {"ids", tokens->ids}};
  co_await respond_json(exchange, answer);
}

asio::awaitable<void> say(Exchange& exchange, std::string body) {
  HttpResponse response;
  response.body = std::move(body);
  co_await exchange.respond(std::move(response));
}

}  // namespace

void add_kobold_routes(Router& router, const Service& service) {
  // The handlers own it together.
  const auto running = std::make_shared<RunningGenerations>();
  router.add("POST", "/api/v1/generate", [&service, running](Exchange& exchange) {
    return generate(service, *running, exchange, false);
  });
  router.add("POST", "/api/extra/generate/stream", [&service, running](Exchange& exchange) {
    return generate(service, *running, exchange, true);
  });
  for (const char* method : {"GET", "POST"}) {
    router.add(method, "/api/extra/generate/check",
               [running](Exchange& exchange) { return check(*running, exchange); });
  }
  router.add("POST", "/api/extra/abort",
             [running](Exchange& exchange) { return abort(*running, exchange); });
  router.add("POST", "/api/extra/tokencount",
             [&service](Exchange& exchange) { return count_tokens(service, exchange); });
  const auto add_fact = [&router](const char* path, const Json& fact) {
    router.add("GET", path,
               [body = dump(fact)](Exchange& exchange) { return say(exchange, body); });
  };
  add_fact("/api/v1/model", {{"result", "octavo/" + service.model_name()}});
  add_fact("/api/v1/info/version", {{"result", "1.2.5"}});  // of KoboldAI's API
  const Json length = {{"value", service.engine.model().context_length}};
  add_fact("/api/v1/config/max_context_length", length);
  add_fact("/api/extra/true_max_context_length", length);
  // Clients stream, count tokens and abort from this version of KoboldCpp's additions on.
  add_fact("/api/extra/version", {{"result", "KoboldCpp"}, {"version", "1.70"}});
}

}  // namespace octavo::server
