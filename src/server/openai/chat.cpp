#include "server/openai/chat.h"

#include <utility>
#include <vector>

#include "server/fields.h"
#include "server/generation.h"
#include "server/json_body.h"
#include "server/openai/answer.h"
#include "server/openai/chat_request.h"
#include "server/openai/send.h"

namespace octavo::server {
namespace {

Result<CommonRequest> prepare(const Service& service, const HttpRequest& request) {
  OCTAVO_ASSIGN(const Json body, parse_json_object(request.body));
  Fields fields(body);
  const ModelInfo& model = service.engine.model();
  OCTAVO_ASSIGN(ChatRequest chat,
                read_chat_request(fields, service.model_name(), model.chat_template));
  CommonRequest& common = chat.common;
  OCTAVO_ASSIGN(common.request.prompt, service.engine.apply_chat_template(
                                           chat.conversation.messages, chat.conversation.options));
  const SamplingParams& sampling = common.request.sampling;
  const int64_t tokens = sampling.max_tokens > 0 ? sampling.max_tokens : model.context_length;
  OCTAVO_TRY(check_logprobs(common.request.outputs * tokens, sampling.logprobs));
  return std::move(common);
}

// The engine's words for what has another name here.
Error as_chat_error(const Error& error) {
  return rename_field(rename_field(error, "prompt", "messages"), "outputs", "n");
}

}  // namespace

asio::awaitable<void> chat_completions(const Service& service, Exchange& exchange) {
  Result<CommonRequest> common = co_await service.run_on_worker(
      [&service, &request = exchange.request()] { return prepare(service, request); },
      lane_of(exchange.request()));
  if (!common) co_return co_await respond_error(exchange, common.error());
  exchange.note_ignored(std::move(common->unknown));
  const auto outputs = static_cast<size_t>(common->request.outputs);
  ChatAnswer answer(
      service.engine, service.model_name(), "chatcmpl-" + exchange.id(),
      {.logprobs = common->request.sampling.logprobs >= 0, .usage_at_end = common->include_usage});
  std::vector<Request> requests;
  requests.push_back(std::move(common->request));
  auto generation = Generation::start(service, exchange, std::move(requests));
  if (!generation) co_return co_await respond_error(exchange, as_chat_error(generation.error()));
  if (common->stream) {
    co_return co_await stream_answer(exchange, **generation, answer, 1, outputs);
  }
  const auto choices = co_await collect_choices(**generation, 1, outputs);
  if (!choices) co_return co_await respond_failure(exchange, **generation);
  std::string json = co_await service.run_on_worker(
      [&] { return dump(answer.whole(choices->front(), (*generation)->usage())); });
  co_await respond_text(exchange, std::move(json));
}

}  // namespace octavo::server
