#include "server/openai/send.h"

#include <utility>

#include "server/api_error.h"
#include "server/sse.h"

namespace octavo::server {
asio::awaitable<void> respond_error(Exchange& exchange, const Error& error) {
  HttpResponse response = openai_error(api_error(error));
  co_await exchange.respond(std::move(response));
}

asio::awaitable<void> respond_failure(Exchange& exchange, const Generation& generation) {
  if (exchange.client_gone()) co_return;
  HttpResponse response = openai_error(generation.failure().value());
  co_await exchange.respond(std::move(response));
}

asio::awaitable<void> respond_json(Exchange& exchange, const Json& json) {
  return respond_text(exchange, dump(json));
}

asio::awaitable<void> respond_text(Exchange& exchange, std::string json) {
  HttpResponse response;
  response.body = std::move(json);
  co_await exchange.respond(std::move(response));
}

asio::awaitable<void> begin_answer(Exchange& exchange, Answer& answer, size_t choices) {
  HttpResponse head = sse_head();
  co_await exchange.begin_stream(std::move(head));
  for (size_t i = 0; i < choices; ++i) {
    const Json first = answer.first_chunk(i);
    if (first.is_null()) continue;
    const std::string bytes = sse_event(first);
    co_await exchange.write(bytes);
  }
}

asio::awaitable<void> end_answer(Exchange& exchange, const Answer& answer, const Usage& usage) {
  std::string end;
  if (answer.tells_usage()) end = sse_event(answer.usage_chunk(usage));
  end += "data: [DONE]\n\n";
  co_await exchange.write(end);
}

asio::awaitable<void> stream_answer(Exchange& exchange, Generation& generation, Answer& answer,
                                    size_t requests, size_t outputs) {
  co_await begin_answer(exchange, answer, requests * outputs);
  generation.ping(kSsePing, kSsePingEvery);
  for (;;) {
    const std::optional<GenerationEvent> next = co_await generation.next();
    if (!next) break;
    const Event& event = next->event;
    if (generation.failure()) {
      const std::string bytes = sse_json(openai_error(*generation.failure()).body);
      co_return co_await exchange.write(bytes);
    }
    const bool says_something = !event.text.empty() || event.finish != FinishReason::none ||
                                (answer.has_logprobs() && !event.tokens.empty());
    if (!says_something) continue;  // the text is held back until it is certain
    const size_t index = next->request * outputs + static_cast<size_t>(event.output);
    const std::string bytes = sse_event(answer.chunk(index, event));
    co_await exchange.write(bytes);
  }
  co_await end_answer(exchange, answer, generation.usage());
}

asio::awaitable<std::optional<std::vector<std::vector<Choice>>>> collect_choices(
    Generation& generation, size_t requests, size_t outputs) {
  std::vector<std::vector<Choice>> choices(requests, std::vector<Choice>(outputs));
  for (;;) {
    std::optional<GenerationEvent> next = co_await generation.next();
    if (!next) break;
    const auto output = static_cast<size_t>(next->event.output);
    choices[next->request][output].add(std::move(next->event));
  }
  if (!generation.is_whole()) co_return std::nullopt;
  co_return choices;
}

}  // namespace octavo::server
