#include "server/openai/completion.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "server/fields.h"
#include "server/generation.h"
#include "server/json_body.h"
#include "server/openai/answer.h"
#include "server/openai/completion_request.h"
#include "server/openai/send.h"
#include "server/sse.h"

namespace octavo::server {
namespace {

Result<CompletionRequest> prepare(const Service& service, const HttpRequest& request) {
  OCTAVO_ASSIGN(const Json body, parse_json_object(request.body));
  Fields fields(body);
  return read_completion_request(fields, service.model_name(), service.engine);
}

// Log probabilities make it long.
Lane lane_of_answer(const CompletionRequest& completion) {
  return completion.logprobs >= 0 ? Lane::long_work : Lane::short_work;
}

std::vector<Request> requests_of(const CompletionRequest& completion) {
  std::vector<Request> requests;
  for (const std::vector<int32_t>& prompt : completion.prompts) {
    requests.push_back(completion.common.request);
    requests.back().prompt = prompt;
  }
  return requests;
}

// The prompts' own log probabilities, by prompt. A prompt of one token has none. False: the answer
// was that it cannot be done.
asio::awaitable<bool> score_prompts(const Service& service, Exchange& exchange,
                                    const CompletionRequest& completion,
                                    std::vector<std::vector<TokenInfo>>& scores) {
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
  if (!generation) {
    co_await respond_error(exchange, generation.error());
    co_return false;
  }
  for (;;) {
    std::optional<GenerationEvent> next = co_await (*generation)->next();
    if (!next) break;
    std::vector<TokenInfo>& tokens = scores[prompt_of[next->request]];
    tokens.insert(tokens.end(), next->event.tokens.begin(), next->event.tokens.end());
  }
  if (!(*generation)->is_whole()) {
    co_await respond_failure(exchange, **generation);
    co_return false;
  }
  co_return true;
}

// False: it was refused, or not finished.
asio::awaitable<bool> add_echo(const Service& service, Exchange& exchange,
                               const CompletionRequest& completion, TextAnswer& answer) {
  std::vector<std::vector<TokenInfo>> scores(completion.prompts.size());
  if (completion.logprobs >= 0) {
    const bool scored = co_await score_prompts(service, exchange, completion, scores);
    if (!scored) co_return false;
  }
  const auto outputs = static_cast<size_t>(completion.outputs);
  for (size_t i = 0; i < completion.prompts.size(); ++i) {
    for (size_t k = 0; k < outputs; ++k) {
      answer.echo(i * outputs + k, completion.prompt_texts[i], completion.prompts[i].front(),
                  scores[i]);
    }
  }
  co_return true;
}

// Nothing is generated: each output is its prompt.
asio::awaitable<void> send_echo(const Service& service, Exchange& exchange,
                                const CompletionRequest& completion, TextAnswer& answer) {
  Usage usage;
  for (const auto& prompt : completion.prompts) {
    usage.prompt_tokens += static_cast<int64_t>(prompt.size());
  }
  const size_t count = completion.prompts.size() * static_cast<size_t>(completion.outputs);
  if (!completion.common.stream) {
    std::vector<Choice> choices(count);
    for (Choice& choice : choices) choice.finish = FinishReason::length;
    std::string json = co_await service.run_on_worker(
        [&] { return dump(answer.whole(choices, usage)); }, lane_of_answer(completion));
    co_return co_await respond_text(exchange, std::move(json));
  }
  co_await begin_answer(exchange, answer, count);
  Event end;
  end.finish = FinishReason::length;
  for (size_t i = 0; i < count; ++i) {
    const std::string bytes = sse_event(answer.chunk(i, end));
    co_await exchange.write(bytes);
  }
  co_await end_answer(exchange, answer, usage);
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

}  // namespace

asio::awaitable<void> completions(const Service& service, Exchange& exchange) {
  Result<CompletionRequest> completion = co_await service.run_on_worker(
      [&service, &request = exchange.request()] { return prepare(service, request); },
      lane_of(exchange.request()));
  if (!completion) co_return co_await respond_error(exchange, completion.error());
  CommonRequest& common = completion->common;
  exchange.note_ignored(std::move(common.unknown));
  TextAnswer answer(service.engine, service.model_name(), "cmpl-" + exchange.id(),
                    {.logprobs = completion->logprobs >= 0, .usage_at_end = common.include_usage});
  if (completion->echo) {
    const bool goes_on = co_await add_echo(service, exchange, *completion, answer);
    if (!goes_on) co_return;
    if (!completion->generate) {
      co_return co_await send_echo(service, exchange, *completion, answer);
    }
  }
  std::vector<Request> requests = requests_of(*completion);
  const size_t prompts = requests.size();
  const auto outputs = static_cast<size_t>(common.request.outputs);
  auto generation = Generation::start(service, exchange, std::move(requests));
  if (!generation) {
    co_return co_await respond_error(exchange, rename_field(generation.error(), "outputs", "n"));
  }
  if (common.stream) {
    co_return co_await stream_answer(exchange, **generation, answer, prompts, outputs);
  }
  auto choices = co_await collect_choices(**generation, prompts, outputs);
  if (!choices) co_return co_await respond_failure(exchange, **generation);
  const std::vector<Choice> best =
      best_choices(std::move(*choices), static_cast<size_t>(completion->outputs));
  std::string json = co_await service.run_on_worker(
      [&] { return dump(answer.whole(best, (*generation)->usage())); },
      lane_of_answer(*completion));
  co_await respond_text(exchange, std::move(json));
}

}  // namespace octavo::server
