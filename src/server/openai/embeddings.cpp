#include "server/openai/embeddings.h"

#include <openssl/evp.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/fields.h"
#include "server/generation.h"
#include "server/json_body.h"
#include "server/openai/embeddings_request.h"
#include "server/openai/send.h"

namespace octavo::server {
namespace {

using Embedding = std::vector<float>;

Result<EmbeddingsRequest> prepare(const Service& service, const HttpRequest& request) {
  OCTAVO_ASSIGN(const Json body, parse_json_object(request.body));
  Fields fields(body);
  return read_embeddings_request(fields, service.model_name(), service.engine);
}

// By input; nothing when the client has gone or one of them has failed.
asio::awaitable<std::optional<std::vector<Embedding>>> collect(Generation& generation,
                                                               size_t inputs) {
  std::vector<Embedding> embeddings(inputs);
  for (;;) {
    std::optional<GenerationEvent> next = co_await generation.next();
    if (!next) break;
    embeddings[next->request] = std::move(next->event.embedding);
  }
  if (!generation.is_whole()) co_return std::nullopt;
  co_return embeddings;
}

// One embedding has some thousand numbers at the most.
Lane lane_of_answer(const std::vector<Embedding>& embeddings) {
  constexpr size_t kManyNumbers = size_t{64} << 10;
  const size_t numbers = embeddings.size() * embeddings.front().size();
  return numbers > kManyNumbers ? Lane::long_work : Lane::short_work;
}

void normalise(Embedding& embedding) {
  double squares = 0.0;
  for (const float value : embedding) squares += double{value} * double{value};
  if (squares == 0.0) return;
  const double length = std::sqrt(squares);
  for (float& value : embedding) value = static_cast<float>(value / length);
}

// The bytes of the floats, the lowest first.
std::string base64(const Embedding& embedding) {
  static_assert(std::endian::native == std::endian::little);
  const size_t bytes = embedding.size() * sizeof(float);
  std::vector<unsigned char> text((bytes + 2) / 3 * 4 + 1);  // and a final zero
  const int length =
      EVP_EncodeBlock(text.data(), reinterpret_cast<const unsigned char*>(embedding.data()),
                      static_cast<int>(bytes));
  return {text.begin(), text.begin() + length};
}

std::string answer(std::vector<Embedding> embeddings, bool as_base64, const std::string& model,
                   const Usage& usage) {
  Json data = Json::array();
  for (Embedding& embedding : embeddings) {
    normalise(embedding);
    data.push_back({{"object", "embedding"},
                    {"index", data.size()},
                    {"embedding", as_base64 ? Json(base64(embedding)) : Json(embedding)}});
  }
  return dump(
      {{"object", "list"},
       {"data", std::move(data)},
       {"model", model},
       {"usage", {{"prompt_tokens", usage.prompt_tokens}, {"total_tokens", usage.prompt_tokens}}}});
}

}  // namespace

asio::awaitable<void> embeddings(const Service& service, Exchange& exchange) {
  Result<EmbeddingsRequest> request = co_await service.run_on_worker(
      [&service, &http = exchange.request()] { return prepare(service, http); },
      lane_of(exchange.request()));
  if (!request) co_return co_await respond_error(exchange, request.error());
  exchange.note_ignored(std::move(request->unknown));
  const size_t inputs = request->requests.size();
  auto generation = Generation::start(service, exchange, std::move(request->requests));
  if (!generation) {
    // The engine's words, where they are not the API's; how it pools is the model's matter.
    const Error error = rename_field(generation.error(), "prompt", "input");
    co_return co_await respond_error(exchange, rename_field(error, "embed", "model"));
  }
  auto embeddings = co_await collect(**generation, inputs);
  if (!embeddings) co_return co_await respond_failure(exchange, **generation);
  const Lane lane = lane_of_answer(*embeddings);
  std::string json = co_await service.run_on_worker(
      [&] {
        return answer(std::move(*embeddings), request->base64, service.model_name(),
                      (*generation)->usage());
      },
      lane);
  co_await respond_text(exchange, std::move(json));
}

}  // namespace octavo::server
