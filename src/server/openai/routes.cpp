#include "server/openai/routes.h"

#include <algorithm>
#include <ctime>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "server/api_error.h"
#include "server/fields.h"
#include "server/generation.h"
#include "server/json_body.h"
#include "server/openai/answer.h"
#include "server/openai/chat_request.h"
#include "server/openai/completion_request.h"
#include "server/sse.h"

namespace octavo::server {
namespace {

asio::awaitable<void> refuse(Exchange& exchange, const Error& error) {
  HttpResponse response = openai_error(api_error(error));
  co_await exchange.respond(std::move(response));
}

ApiError going_down() {
  return {.status = 503, .message = "the server is going down", .retry_after_seconds = 5};
}

// --- how an answer is sent, whatever it is an answer to ---

asio::awaitable<void> stream_answer(Exchange& exchange, Generation* generation, Answer& answer,
                                    size_t requests, size_t outputs, bool include_usage,
                                    const Usage& usage) {
  HttpResponse head = sse_head();
  co_await exchange.begin_stream(std::move(head));
  if (include_usage) answer.expect_usage();
  for (size_t i = 0; i < requests * outputs; ++i) {
    const Json first = answer.first_chunk(i);
    if (first.is_null()) continue;
    const std::string bytes = sse_event(first);
    co_await exchange.write(bytes);
  }
  while (generation != nullptr) {
    const std::optional<GenerationEvent> next = co_await generation->next();
    if (!next) break;
    const Event& event = next->event;
    if (event.finish == FinishReason::cancelled) {
      const HttpResponse error = openai_error(going_down());
      const std::string bytes = "data: " + error.body + "\n\n";
      co_return co_await exchange.write(bytes);
    }
    const bool says_something = !event.text.empty() || event.finish != FinishReason::none ||
                                (answer.has_logprobs() && !event.tokens.empty());
    if (!says_something) continue;  // the text is held back until it is certain
    const size_t index = next->request * outputs + static_cast<size_t>(event.output);
    const std::string bytes = sse_event(answer.chunk(index, event));
    co_await exchange.write(bytes);
  }
  std::string end;
  if (include_usage) end = sse_event(answer.usage_chunk(generation ? generation->usage() : usage));
  end += "data: [DONE]\n\n";
  co_await exchange.write(end);
}

// All outputs, by request; nothing when the client has gone or the engine goes down.
asio::awaitable<std::optional<std::vector<std::vector<Choice>>>> collect(Generation& generation,
                                                                         size_t requests,
                                                                         size_t outputs) {
  std::vector<std::vector<Choice>> choices(requests, std::vector<Choice>(outputs));
  for (;;) {
    std::optional<GenerationEvent> next = co_await generation.next();
    if (!next) break;
    const auto output = static_cast<size_t>(next->event.output);
    choices[next->request][output].add(std::move(next->event));
  }
  for (const std::vector<Choice>& of_request : choices) {
    for (const Choice& choice : of_request) {
      const bool is_whole =
          choice.finish == FinishReason::stop || choice.finish == FinishReason::length;
      if (!is_whole) co_return std::nullopt;
    }
  }
  co_return choices;
}

asio::awaitable<void> send_json(Exchange& exchange, const Json& json) {
  HttpResponse response;
  response.body = dump(json);
  co_await exchange.respond(std::move(response));
}

asio::awaitable<void> say_going_down(Exchange& exchange) {
  HttpResponse response = openai_error(going_down());
  co_await exchange.respond(std::move(response));
}

// --- /v1/chat/completions ---

Result<ChatRequest> prepare_chat(const Service& service, Exchange& exchange) {
  OCTAVO_ASSIGN(const Json body, parse_json_object(exchange.request().body));
  Fields fields(body);
  OCTAVO_ASSIGN(ChatRequest chat, read_chat_request(fields, service.model_name(),
                                                    service.engine.model().chat_template));
  OCTAVO_ASSIGN(
      chat.common.request.prompt,
      service.engine.apply_chat_template(chat.conversation.messages, chat.conversation.options));
  exchange.note_ignored(fields.unknown());
  return chat;
}

asio::awaitable<void> chat_completions(const Service& service, Exchange& exchange) {
  Result<ChatRequest> chat = co_await service.run_on_worker(
      [&service, &exchange] { return prepare_chat(service, exchange); });
  if (!chat) co_return co_await refuse(exchange, chat.error());
  const CommonRequest& common = chat->common;
  const auto outputs = static_cast<size_t>(common.request.outputs);
  const bool with_logprobs = common.request.sampling.logprobs >= 0;
  std::vector<Request> requests = {common.request};
  auto generation = Generation::start(service, exchange, std::move(requests));
  if (!generation) co_return co_await refuse(exchange, generation.error());

  ChatAnswer answer(service.engine, service.model_name(), "chatcmpl-" + exchange.id(),
                    with_logprobs);
  if (common.stream) {
    co_return co_await stream_answer(exchange, generation->get(), answer, 1, outputs,
                                     common.include_usage, {});
  }
  const auto choices = co_await collect(**generation, 1, outputs);
  if (!choices) co_return co_await say_going_down(exchange);
  co_await send_json(exchange, answer.whole(choices->front(), (*generation)->usage()));
}

// --- /v1/completions ---

Result<CompletionRequest> prepare_completion(const Service& service, Exchange& exchange) {
  OCTAVO_ASSIGN(const Json body, parse_json_object(exchange.request().body));
  Fields fields(body);
  OCTAVO_ASSIGN(CompletionRequest completion,
                read_completion_request(fields, service.model_name(), service.engine));
  exchange.note_ignored(fields.unknown());
  return completion;
}

std::vector<Request> requests_of(const CompletionRequest& completion) {
  std::vector<Request> requests;
  for (const std::vector<int32_t>& prompt : completion.prompts) {
    requests.push_back(completion.common.request);
    requests.back().prompt = prompt;
  }
  return requests;
}

// The prompts' own log probabilities, by prompt. A prompt of one token has none.
asio::awaitable<Result<std::vector<std::vector<TokenInfo>>>> score_prompts(
    const Service& service, Exchange& exchange, const CompletionRequest& completion) {
  std::vector<std::vector<TokenInfo>> scores(completion.prompts.size());
  std::vector<Request> requests;
  std::vector<size_t> prompt_of;
  for (size_t i = 0; i < completion.prompts.size(); ++i) {
    if (completion.prompts[i].size() < 2) continue;
    Request& request = requests.emplace_back();
    request.prompt = completion.prompts[i];
    request.score_prompt = true;
    request.sampling.logprobs = completion.logprobs;
    request.priority = completion.common.request.priority;
    prompt_of.push_back(i);
  }
  auto generation = Generation::start(service, exchange, std::move(requests));
  if (!generation) co_return generation.error();
  for (;;) {
    std::optional<GenerationEvent> next = co_await (*generation)->next();
    if (!next) break;
    std::vector<TokenInfo>& tokens = scores[prompt_of[next->request]];
    tokens.insert(tokens.end(), next->event.tokens.begin(), next->event.tokens.end());
  }
  co_return scores;
}

// Of each prompt's outputs the `wanted` most probable ones, the best first; all of them as they
// are when there are no more.
std::vector<Choice> best_choices(std::vector<std::vector<Choice>> choices, size_t wanted) {
  std::vector<Choice> best;
  for (std::vector<Choice>& of_prompt : choices) {
    if (of_prompt.size() > wanted) {
      std::stable_sort(of_prompt.begin(), of_prompt.end(), [](const Choice& a, const Choice& b) {
        return a.mean_logprob() > b.mean_logprob();
      });
    }
    for (size_t i = 0; i < wanted; ++i) best.push_back(std::move(of_prompt[i]));
  }
  return best;
}

asio::awaitable<bool> add_echo(const Service& service, Exchange& exchange,
                               const CompletionRequest& completion, TextAnswer& answer) {
  std::vector<std::vector<TokenInfo>> scores(completion.prompts.size());
  if (completion.logprobs >= 0) {
    auto scored = co_await score_prompts(service, exchange, completion);
    if (!scored) {
      co_await refuse(exchange, scored.error());
      co_return false;
    }
    scores = std::move(*scored);
  }
  const auto outputs = static_cast<size_t>(completion.outputs);
  for (size_t i = 0; i < completion.prompts.size(); ++i) {
    if (completion.prompts[i].empty()) continue;  // the engine says what is wrong with it
    for (size_t k = 0; k < outputs; ++k) {
      answer.echo(i * outputs + k, completion.prompt_texts[i], completion.prompts[i].front(),
                  scores[i]);
    }
  }
  co_return true;
}

asio::awaitable<void> echo_alone(Exchange& exchange, const CompletionRequest& completion,
                                 TextAnswer& answer) {
  Usage usage;
  for (const auto& prompt : completion.prompts) {
    usage.prompt_tokens += static_cast<int64_t>(prompt.size());
  }
  const auto outputs = static_cast<size_t>(completion.outputs);
  if (completion.common.stream) {
    co_return co_await stream_answer(exchange, nullptr, answer, completion.prompts.size(), outputs,
                                     completion.common.include_usage, usage);
  }
  std::vector<Choice> choices(completion.prompts.size() * outputs);
  for (Choice& choice : choices) choice.finish = FinishReason::length;
  co_await send_json(exchange, answer.whole(choices, usage));
}

asio::awaitable<void> completions(const Service& service, Exchange& exchange) {
  Result<CompletionRequest> completion = co_await service.run_on_worker(
      [&service, &exchange] { return prepare_completion(service, exchange); });
  if (!completion) co_return co_await refuse(exchange, completion.error());
  const CommonRequest& common = completion->common;
  TextAnswer answer(service.engine, service.model_name(), "cmpl-" + exchange.id(),
                    completion->logprobs >= 0);
  if (completion->echo) {
    const bool goes_on = co_await add_echo(service, exchange, *completion, answer);
    if (!goes_on) co_return;
    if (!completion->generate) co_return co_await echo_alone(exchange, *completion, answer);
  }
  std::vector<Request> requests = requests_of(*completion);
  const size_t prompts = requests.size();
  const auto outputs = static_cast<size_t>(common.request.outputs);
  auto generation = Generation::start(service, exchange, std::move(requests));
  if (!generation) co_return co_await refuse(exchange, generation.error());
  if (common.stream) {
    co_return co_await stream_answer(exchange, generation->get(), answer, prompts, outputs,
                                     common.include_usage, {});
  }
  auto choices = co_await collect(**generation, prompts, outputs);
  if (!choices) co_return co_await say_going_down(exchange);
  const std::vector<Choice> best =
      best_choices(std::move(*choices), static_cast<size_t>(completion->outputs));
  co_await send_json(exchange, answer.whole(best, (*generation)->usage()));
}

// --- /v1/models ---

asio::awaitable<void> list_models(const Service& service, Exchange& exchange, int64_t since) {
  Json model = {{"id", service.model_name()},
                {"object", "model"},
                {"created", since},
                {"owned_by", "octavo"},
                {"max_model_len", service.engine.model().context_length}};
  const Json list = {{"object", "list"}, {"data", Json::array({std::move(model)})}};
  co_await send_json(exchange, list);
}

}  // namespace

void add_openai_routes(Router& router, const Service& service) {
  router.add("POST", "/v1/chat/completions",
             [&service](Exchange& exchange) { return chat_completions(service, exchange); });
  router.add("POST", "/v1/completions",
             [&service](Exchange& exchange) { return completions(service, exchange); });
  router.add("GET", "/v1/models", [&service, since = std::time(nullptr)](Exchange& exchange) {
    return list_models(service, exchange, since);
  });
}

}  // namespace octavo::server
