#include "server/llamacpp/routes.h"

#include <optional>
#include <utility>
#include <vector>

#include "server/api_error.h"
#include "server/generation.h"
#include "server/llamacpp/answer.h"
#include "server/llamacpp/completion_request.h"
#include "server/neighbour.h"
#include "server/openai/send.h"
#include "server/sse.h"

namespace octavo::server {
namespace {

Result<LlamaCppRequest> prepare(const Service& service, const Exchange& exchange) {
  OCTAVO_ASSIGN(const Json body, parse_json_object(exchange.request().body));
  Fields fields(body);
  return read_llamacpp_request(fields, service.engine, exchange.id());
}

// Errors have OpenAI's form there, too.
asio::awaitable<void> refuse(Exchange& exchange, const ApiError& error) {
  HttpResponse response = openai_error(error);
  co_await exchange.respond(std::move(response));
}

// Reads all events, up to a failure; sends them, where it is a stream.
asio::awaitable<void> follow(Exchange& exchange, Generation& generation, bool is_stream,
                             size_t outputs, LlamaCppAnswer& answer) {
  for (;;) {
    std::optional<GenerationEvent> next = co_await generation.next();
    if (!next || generation.failure()) co_return;
    const FinishReason finish = next->event.finish;
    const size_t index = next->request * outputs + static_cast<size_t>(next->event.output);
    const Json chunk = answer.chunk(index, std::move(next->event));
    if (!is_stream) continue;
    std::string bytes;
    if (!chunk.is_null()) bytes = sse_event(chunk);
    if (finish != FinishReason::none) bytes += sse_event(answer.finals()[index]);
    co_await exchange.write(bytes);
  }
}

asio::awaitable<void> complete(const Service& service, Exchange& exchange) {
  const Result<LlamaCppRequest> completion = co_await service.run_on_worker(
      [&service, &exchange] { return prepare(service, exchange); }, lane_of(exchange.request()));
  if (!completion) co_return co_await refuse(exchange, api_error(completion.error()));
  exchange.note_ignored(completion->unknown);
  std::vector<Request> requests;
  for (const std::vector<int32_t>& prompt : completion->prompts) {
    requests.push_back(completion->request);
    requests.back().prompt = prompt;
  }
  LlamaCppAnswer answer(service.engine, *completion, service.model_name());
  auto generation = Generation::start(service, exchange, std::move(requests));
  if (!generation) co_return co_await refuse(exchange, api_error(generation.error()));
  const auto outputs = static_cast<size_t>(completion->request.outputs);
  if (completion->stream) {
    HttpResponse head = sse_head();
    co_await exchange.begin_stream(std::move(head));
    (*generation)->ping(kSsePing, kSsePingEvery);
  }
  co_await follow(exchange, **generation, completion->stream, outputs, answer);
  if (exchange.client_gone()) co_return;
  const std::optional<ApiError>& failure = (*generation)->failure();
  if (failure && completion->stream) {
    const std::string bytes = sse_json(openai_error(*failure).body);
    co_return co_await exchange.write(bytes);
  }
  if (failure) co_return co_await refuse(exchange, *failure);
  if (completion->stream) co_return;
  const bool is_list = completion->is_list || outputs > 1;
  const Json json = is_list ? Json(answer.finals()) : answer.finals().front();
  co_await respond_json(exchange, json);
}

// One for each output that runs, and one that is free unless as many run as may: nobody is helped
// by hundreds of free ones.
asio::awaitable<void> slots(const Service& service, Exchange& exchange) {
  const CacheSnapshot snapshot = co_await service.run_on_worker(
      [&service] { return service.engine.cache_snapshot(); }, Lane::waiting);
  const int32_t context = service.engine.model().context_length;
  Json list = Json::array();
  const auto add = [&](Json task, bool is_processing, int32_t decoded) {
    list.push_back({{"id", list.size()},
                    {"id_task", std::move(task)},
                    {"n_ctx", context},
                    {"speculative", false},
                    {"is_processing", is_processing},
                    {"next_token", {{"has_next_token", is_processing}, {"n_decoded", decoded}}}});
  };
  for (const SequenceSnapshot& sequence : snapshot.sequences) {
    add(sequence.request, true, sequence.generated_tokens);
  }
  if (std::ssize(snapshot.sequences) < service.engine.stats().max_running) add(-1, false, 0);
  co_await respond_json(exchange, list);
}

asio::awaitable<void> props(const Service& service, Exchange& exchange) {
  const ModelInfo& model = service.engine.model();
  Json json;
  json["default_generation_settings"] = {{"id", 0},
                                         {"id_task", -1},
                                         {"n_ctx", model.context_length},
                                         {"speculative", false},
                                         {"is_processing", false},
                                         {"params", llamacpp_settings(llamacpp_defaults())}};
  json["total_slots"] = service.engine.stats().max_running;
  json["model_alias"] = service.model_name();
  json["model_path"] = model.path;
  json["chat_template"] = model.chat_template;
  json["bos_token"] = model.bos < 0 ? "" : service.engine.token_bytes(model.bos);
  json["modalities"] = {{"vision", false}, {"audio", false}};
  json["build_info"] = "octavo";
  json["is_sleeping"] = false;
  co_await respond_json(exchange, json);
}

}  // namespace

void add_llamacpp_routes(Router& router, const Service& service) {
  router.add("POST", "/completion",
             [&service](Exchange& exchange) { return complete(service, exchange); });
  router.add("GET", "/props", [&service](Exchange& exchange) { return props(service, exchange); });
  router.add("GET", "/slots", [&service](Exchange& exchange) { return slots(service, exchange); });
}

}  // namespace octavo::server
