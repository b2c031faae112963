#include "server/openai/routes.h"

#include <ctime>
#include <string>
#include <utility>

#include "server/json_body.h"
#include "server/openai/chat.h"
#include "server/openai/completion.h"
#include "server/openai/embeddings.h"
#include "server/openai/send.h"
#include "server/openai/tokenize.h"

namespace octavo::server {
namespace {

Json model_json(const Service& service, int64_t since) {
  return {{"id", service.model_name()},
          {"object", "model"},
          {"created", since},
          {"owned_by", "octavo"},
          {"max_model_len", service.engine.model().context_length}};
}

}  // namespace

void add_openai_routes(Router& router, const Service& service) {
  using HandlerFunction = asio::awaitable<void> (*)(const Service&, Exchange&);
  const auto add = [&](const char* path, HandlerFunction handler) {
    router.add("POST", path,
               [&service, handler](Exchange& exchange) { return handler(service, exchange); });
  };
  add("/v1/chat/completions", chat_completions);
  add("/v1/completions", completions);
  add("/v1/embeddings", embeddings);
  add("/tokenize", tokenize);
  add("/detokenize", detokenize);
  add("/apply-template", apply_template);

  // What never changes.
  const auto add_text = [&](const std::string& path, const Json& json) {
    router.add("GET", path,
               [text = dump(json)](Exchange& exchange) { return respond_text(exchange, text); });
  };
  const Json model = model_json(service, std::time(nullptr));
  add_text("/v1/models", {{"object", "list"}, {"data", Json::array({model})}});
  add_text("/v1/models/" + service.model_name(), model);
  add_text("/version", {{"version", OCTAVO_VERSION}});
}

}  // namespace octavo::server
