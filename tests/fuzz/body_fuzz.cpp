// libFuzzer target: any bytes as the body of a request, read by every API that there is. What is
// accepted must be fit to be written again.
#include <cstdint>
#include <memory>
#include <string>

#include "base/check.h"
#include "octavo/engine.h"
#include "server/fields.h"
#include "server/json_body.h"
#include "server/kobold/generate_request.h"
#include "server/llamacpp/completion_request.h"
#include "server/openai/chat_request.h"
#include "server/openai/completion_request.h"
#include "server/openai/embeddings_request.h"
#include "server/tgi/generate_request.h"

namespace octavo::server {
namespace {

const Engine& builtin_engine() {
  static const std::unique_ptr<Engine> engine = [] {
    auto made = Engine::create({.threads = 1});
    OCTAVO_CHECK(made.ok(), "{}", made.error().message);
    return std::move(made).value();
  }();
  return *engine;
}

void read_as_every_api(const Json& body) {
  const Engine& engine = builtin_engine();
  const std::string& chat_template = engine.model().chat_template;
  Fields chat(body);
  if (const auto request = read_chat_request(chat, "demo", chat_template)) {
    (void)engine.apply_chat_template(request->conversation.messages, request->conversation.options);
  }
  Fields completion(body);
  (void)read_completion_request(completion, "demo", engine);
  Fields embeddings(body);
  (void)read_embeddings_request(embeddings, "demo", engine);
  Fields llamacpp(body);
  (void)read_llamacpp_request(llamacpp, engine, "id");
  Fields tgi(body);
  (void)read_tgi_request(body, tgi, engine);
  Fields kobold(body);
  (void)read_kobold_request(kobold, engine);
}

}  // namespace
}  // namespace octavo::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace octavo::server;
  const auto body = parse_json_object({reinterpret_cast<const char*>(data), size});
  if (!body.ok()) return 0;
  read_as_every_api(*body);
  OCTAVO_CHECK(parse_json_object(dump(*body)).ok(), "it can not be read again");
  return 0;
}
