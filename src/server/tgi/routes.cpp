#include "server/tgi/routes.h"

#include <memory>
#include <utility>
#include <vector>

#include "server/api_error.h"
#include "server/fields.h"
#include "server/generation.h"
#include "server/openai/send.h"
#include "server/sse.h"
#include "server/tgi/answer.h"
#include "server/tgi/generate_request.h"
#include "text/stop_matcher.h"

namespace octavo::server {
namespace {

// What /generate, /generate_stream and / do differently.
enum class Form { whole, stream, as_asked };

Result<TgiRequest> prepare(const Service& service, const Exchange& exchange, Form form) {
  OCTAVO_ASSIGN(Json body, parse_json_object(exchange.request().body));
  if (form != Form::as_asked) body["stream"] = form == Form::stream;
  Fields fields(body);
  return read_tgi_request(body, fields, service.engine);
}

asio::awaitable<void> refuse(Exchange& exchange, const Error& error) {
  HttpResponse response = tgi_error(rename_field(error, "prompt", "inputs"));
  co_await exchange.respond(std::move(response));
}

// Where an answer was not finished; a client that went is told nothing.
asio::awaitable<void> respond_tgi_failure(Exchange& exchange, const Generation& generation) {
  if (exchange.client_gone()) co_return;
  const ApiError& error = generation.failure().value();
  HttpResponse response = error_response(error, dump(tgi_failure(error)));
  co_await exchange.respond(std::move(response));
}

// The prompt's tokens but the first, with their log probabilities; there are none of a short one.
// False: the answer was that it cannot be done.
asio::awaitable<bool> score(const Service& service, Exchange& exchange,
                            const std::vector<int32_t>& prompt, std::vector<TokenInfo>& tokens) {
  if (prompt.size() < 2) co_return true;
  std::vector<Request> requests(1);
  requests[0].prompt = prompt;
  requests[0].score_prompt = true;
  requests[0].sampling.logprobs = 0;
  auto generation = Generation::start(service, exchange, std::move(requests));
  if (!generation) {
    co_await refuse(exchange, generation.error());
    co_return false;
  }
  for (;;) {
    const std::optional<GenerationEvent> next = co_await (*generation)->next();
    if (!next) break;
    tokens.insert(tokens.end(), next->event.tokens.begin(), next->event.tokens.end());
  }
  if (!(*generation)->is_whole()) {
    co_await respond_tgi_failure(exchange, **generation);
    co_return false;
  }
  co_return true;
}

asio::awaitable<void> stream(Exchange& exchange, Generation& generation, TgiAnswer& answer) {
  HttpResponse head = sse_head();
  co_await exchange.begin_stream(std::move(head));
  generation.ping(kSsePing, kSsePingEvery);
  for (;;) {
    std::optional<GenerationEvent> next = co_await generation.next();
    if (!next) break;
    if (generation.failure()) {
      const std::string end = sse_event(tgi_failure(*generation.failure()));
      co_return co_await exchange.write(end);
    }
    std::string bytes;
    for (const Json& chunk : answer.chunks(std::move(next->event))) bytes += sse_event(chunk);
    co_await exchange.write(bytes);
  }
}

asio::awaitable<void> generate(const Service& service, Exchange& exchange, Form form) {
  const Result<TgiRequest> tgi = co_await service.run_on_worker(
      [&service, &exchange, form] { return prepare(service, exchange, form); },
      lane_of(exchange.request()));
  if (!tgi) co_return co_await refuse(exchange, tgi.error());
  exchange.note_ignored(tgi->unknown);
  std::vector<TokenInfo> prefill;
  if (tgi->prefill) {
    const bool scored = co_await score(service, exchange, tgi->request.prompt, prefill);
    if (!scored) co_return;
  }
  std::vector<Request> requests = {tgi->request};
  auto generation = Generation::start(service, exchange, std::move(requests));
  if (!generation) co_return co_await refuse(exchange, generation.error());
  TgiAnswer answer(service.engine, *tgi);
  if (tgi->stream) co_return co_await stream(exchange, **generation, answer);
  const auto outputs = static_cast<size_t>(tgi->request.outputs);
  const auto choices = co_await collect_choices(**generation, 1, outputs);
  if (!choices) co_return co_await respond_tgi_failure(exchange, **generation);
  Json whole = answer.whole(choices->front(), prefill);
  if (form == Form::as_asked) whole = Json::array({std::move(whole)});
  co_await respond_json(exchange, whole);
}

asio::awaitable<void> info(const Service& service, Exchange& exchange) {
  const ModelInfo& model = service.engine.model();
  const Json json = {{"model_id", service.model_name()},
                     {"model_sha", nullptr},
                     {"model_pipeline_tag", "text-generation"},
                     {"max_concurrent_requests", service.config.max_connections},
                     {"max_best_of", 128},
                     {"max_stop_sequences", text::StopStrings::max_count},
                     {"max_input_tokens", model.context_length - 1},
                     {"max_total_tokens", model.context_length},
                     {"validation_workers", 2},
                     {"max_client_batch_size", 1},
                     {"router", "octavo"},
                     {"version", OCTAVO_VERSION},
                     {"sha", nullptr},
                     {"docker_label", nullptr}};
  co_await respond_json(exchange, json);
}

}  // namespace

void add_tgi_routes(Router& router, const Service& service) {
  const auto add = [&](const char* path, Form form) {
    router.add("POST", path,
               [&service, form](Exchange& exchange) { return generate(service, exchange, form); });
  };
  add("/generate", Form::whole);
  add("/generate_stream", Form::stream);
  add("/", Form::as_asked);
  router.add("GET", "/info", [&service](Exchange& exchange) { return info(service, exchange); });
}

}  // namespace octavo::server
