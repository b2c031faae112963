// OpenAI's API through exchanges without a socket: what each field does, and what errors name.
#include <set>

#include "server/api_test.h"

namespace octavo::server {
namespace {

class OpenAiTest : public ApiTest {
 protected:
  static Json chat_body(const Json& more = Json::object()) {
    Json body = {{"messages", {{{"role", "user"}, {"content", "Tell me a story."}}}},
                 {"max_tokens", 12},
                 {"temperature", 1},
                 {"seed", 7}};
    body.update(more);
    return body;
  }
  static Json text_body(const Json& more = Json::object()) {
    Json body = {{"prompt", "Once upon a time"}, {"temperature", 1}, {"seed", 7}};
    body.update(more);
    return body;
  }
  // What the engine itself gives for the body of chat_body().
  std::vector<OutputRecord> chat_by_engine(int32_t outputs) {
    Request request;
    request.prompt = *engine_->apply_chat_template({{"user", "Tell me a story."}});
    request.outputs = outputs;
    request.sampling.max_tokens = 12;
    request.sampling.seed = 7;
    return run_to_end(*engine_, request);
  }

  static constexpr const char* kChat = "/v1/chat/completions";
  static constexpr const char* kText = "/v1/completions";
};

TEST_F(OpenAiTest, AChatGivesWhatTheEngineGives) {
  const Json body = answer(kChat, chat_body({{"n", 2}}));
  const std::vector<OutputRecord> expected = chat_by_engine(2);
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_EQ(body["model"], "demo");
  EXPECT_EQ(body["system_fingerprint"].get<std::string>().find("octavo-"), 0u);
  ASSERT_EQ(body["choices"].size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(body["choices"][i]["index"], i);
    EXPECT_EQ(body["choices"][i]["message"]["role"], "assistant");
    EXPECT_EQ(body["choices"][i]["message"]["content"], expected[i].text);
    EXPECT_EQ(body["choices"][i]["finish_reason"], "length");
  }
  EXPECT_EQ(body["usage"]["completion_tokens"], 24);
  EXPECT_EQ(body["usage"]["total_tokens"], 24 + body["usage"]["prompt_tokens"].get<int>());
}

TEST_F(OpenAiTest, AStreamIsTheSameTextInPieces) {
  const Json options = {{"stream", true}, {"n", 2}, {"stream_options", {{"include_usage", true}}}};
  const std::vector<Json> stream = chunks(kChat, chat_body(options));
  const std::vector<OutputRecord> expected = chat_by_engine(2);
  std::vector<std::string> texts(2);
  std::vector<std::string> finishes(2);
  std::set<std::string> ids;
  for (const Json& chunk : stream) {
    EXPECT_EQ(chunk["object"], "chat.completion.chunk");
    EXPECT_EQ(chunk["system_fingerprint"], stream[0]["system_fingerprint"]);
    ids.insert(chunk["id"]);
    for (const Json& choice : chunk["choices"]) {
      const size_t index = choice["index"];
      EXPECT_EQ(finishes[index], "") << "a chunk after the last";
      if (choice["delta"].contains("content")) texts[index] += choice["delta"]["content"];
      if (!choice["finish_reason"].is_null()) finishes[index] = choice["finish_reason"];
    }
  }
  EXPECT_EQ(texts[0], expected[0].text);
  EXPECT_EQ(texts[1], expected[1].text);
  EXPECT_EQ(finishes, (std::vector<std::string>{"length", "length"}));
  EXPECT_EQ(ids.size(), 1u);
  EXPECT_EQ(stream[0]["choices"][0]["delta"]["role"], "assistant");
  EXPECT_TRUE(stream[0]["usage"].is_null());
  EXPECT_TRUE(stream.back()["choices"].empty());
  EXPECT_EQ(stream.back()["usage"]["completion_tokens"], 24);
}

TEST_F(OpenAiTest, CachedTokensAreCounted) {
  const Json first = answer(kChat, chat_body());
  EXPECT_EQ(first["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
  const Json second = answer(kChat, chat_body());
  EXPECT_EQ(second["usage"]["prompt_tokens_details"]["cached_tokens"],
            second["usage"]["prompt_tokens"].get<int>() - 1);
  const Json salted = answer(kChat, chat_body({{"cache_salt", "mine"}}));
  EXPECT_EQ(salted["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
}

TEST_F(OpenAiTest, ContentMayBePartsAndADeveloperIsASystem) {
  const auto prompt_tokens = [this](const Json& messages) {
    return answer(kChat, chat_body({{"messages", messages}}))["usage"]["prompt_tokens"];
  };
  const Json parts = {{{"type", "text"}, {"text", "Tell me"}},
                      {{"type", "text"}, {"text", "one."}}};
  EXPECT_EQ(prompt_tokens({{{"role", "user"}, {"content", parts}}}),
            prompt_tokens({{{"role", "user"}, {"content", "Tell me\none."}}}));
  const Json user = {{"role", "user"}, {"content", "Hi"}};
  EXPECT_EQ(prompt_tokens({{{"role", "developer"}, {"content", "Be kind."}}, user}),
            prompt_tokens({{{"role", "system"}, {"content", "Be kind."}}, user}));
}

TEST_F(OpenAiTest, ChatLogprobsHaveTokensBytesAndAlternatives) {
  const Json body = answer(kChat, chat_body({{"logprobs", true}, {"top_logprobs", 3}}));
  const Json& content = body["choices"][0]["logprobs"]["content"];
  ASSERT_EQ(content.size(), 12u);
  std::string text;
  for (const Json& token : content) {
    EXPECT_EQ(token["top_logprobs"].size(), 3u);
    EXPECT_LE(token["logprob"].get<double>(), token["top_logprobs"][0]["logprob"].get<double>());
    for (const Json& byte : token["bytes"]) text += static_cast<char>(byte.get<int>());
  }
  EXPECT_EQ(text, body["choices"][0]["message"]["content"]);
}

TEST_F(OpenAiTest, PromptsOfManyFormsGiveAChoiceEach) {
  const std::vector<int32_t> ids = *engine_->tokenize("Once upon a time", {});
  const Json one = answer(kText, text_body());
  EXPECT_EQ(one["object"], "text_completion");
  EXPECT_EQ(one["usage"]["completion_tokens"], 16) << "OpenAI's default";
  const std::string text = one["choices"][0]["text"];
  EXPECT_EQ(answer(kText, text_body({{"prompt", ids}}))["choices"][0]["text"], text);
  const Json many =
      answer(kText, text_body({{"prompt", Json::array({ids, "The end", ids})}, {"n", 2}}));
  ASSERT_EQ(many["choices"].size(), 6u);
  for (const size_t index : {0, 4}) EXPECT_EQ(many["choices"][index]["text"], text);
  EXPECT_NE(many["choices"][2]["text"], text);
  EXPECT_EQ(many["choices"][5]["index"], 5);
}

TEST_F(OpenAiTest, BestOfGivesTheMostProbable) {
  const Json all = answer(kText, text_body({{"n", 5}, {"logprobs", 0}}));
  std::vector<std::pair<double, std::string>> by_mean;
  for (const Json& choice : all["choices"]) {
    double sum = 0.0;
    for (const Json& logprob : choice["logprobs"]["token_logprobs"]) sum += logprob.get<double>();
    by_mean.emplace_back(-sum, choice["text"]);
  }
  std::sort(by_mean.begin(), by_mean.end());
  const Json best = answer(kText, text_body({{"n", 2}, {"best_of", 5}}));
  ASSERT_EQ(best["choices"].size(), 2u);
  EXPECT_EQ(best["choices"][0]["text"], by_mean[0].second);
  EXPECT_EQ(best["choices"][1]["text"], by_mean[1].second);
  EXPECT_TRUE(best["choices"][0]["logprobs"].is_null()) << "they were not asked for";
  EXPECT_EQ(best["usage"]["completion_tokens"], 80) << "all were generated";
}

TEST_F(OpenAiTest, EchoBeginsWithThePromptAndItsLogprobs) {
  const Json plain = answer(kText, text_body({{"max_tokens", 3}}));
  const std::string text = plain["choices"][0]["text"];
  const Json options = {{"echo", true}, {"logprobs", 2}, {"max_tokens", 3}};
  const Json echoed = answer(kText, text_body(options));
  EXPECT_EQ(echoed["choices"][0]["text"], "Once upon a time" + text);
  const Json& logprobs = echoed["choices"][0]["logprobs"];
  const size_t prompt_tokens = engine_->tokenize("Once upon a time", {})->size();
  ASSERT_EQ(logprobs["tokens"].size(), prompt_tokens + 3);
  EXPECT_TRUE(logprobs["token_logprobs"][0].is_null()) << "nothing comes before the first";
  EXPECT_LT(logprobs["token_logprobs"][1].get<double>(), 0.0);
  // The same as a stream.
  Json streamed = text_body(options);
  streamed["stream"] = true;
  std::string pieces;
  size_t tokens = 0;
  for (const Json& chunk : chunks(kText, streamed)) {
    pieces += chunk["choices"][0]["text"];
    tokens += chunk["choices"][0]["logprobs"]["tokens"].size();
  }
  EXPECT_EQ(pieces, "Once upon a time" + text);
  EXPECT_EQ(tokens, prompt_tokens + 3);
}

TEST_F(OpenAiTest, TheEchoAloneGeneratesNothing) {
  Json body = text_body({{"echo", true}, {"max_tokens", 0}, {"n", 2}, {"logprobs", 0}});
  const Json alone = answer(kText, body);
  ASSERT_EQ(alone["choices"].size(), 2u);
  EXPECT_EQ(alone["choices"][1]["text"], "Once upon a time");
  EXPECT_EQ(alone["choices"][1]["finish_reason"], "length");
  EXPECT_EQ(alone["usage"]["completion_tokens"], 0);
  body.update({{"stream", true}, {"stream_options", {{"include_usage", true}}}});
  std::vector<std::string> texts(2);
  std::vector<Json> finishes(2);
  for (const Json& chunk : chunks(kText, body)) {
    for (const Json& choice : chunk["choices"]) {
      texts[choice["index"].get<size_t>()] += choice["text"];
      finishes[choice["index"].get<size_t>()] = choice["finish_reason"];
    }
  }
  EXPECT_EQ(texts, (std::vector<std::string>{"Once upon a time", "Once upon a time"}));
  EXPECT_EQ(finishes, (std::vector<Json>{"length", "length"}));
}

TEST_F(OpenAiTest, ATokenThatIsPartOfACharacterShowsItsBytes) {
  // A character outside the vocabulary comes as its bytes.
  const Json options = {
      {"prompt", "\xE2\x80\xB1"}, {"echo", true}, {"logprobs", 0}, {"max_tokens", 0}};
  const Json tokens = answer(kText, text_body(options))["choices"][0]["logprobs"]["tokens"];
  std::set<std::string> names(tokens.begin(), tokens.end());
  EXPECT_TRUE(names.contains("bytes:\\xb1")) << tokens;
}

TEST_F(OpenAiTest, ErrorsNameTheField) {
  const auto chat_field = [this](const Json& more) {
    return refusal(kChat, chat_body(more)).first;
  };
  const auto text_field = [this](const Json& more) {
    return refusal(kText, text_body(more)).first;
  };
  EXPECT_EQ(chat_field({{"temperature", "hot"}}), "temperature");
  EXPECT_EQ(chat_field({{"top_p", 2}}), "top_p");
  EXPECT_EQ(chat_field({{"n", 0}}), "n");
  EXPECT_EQ(chat_field({{"max_tokens", 0}}), "max_tokens");
  EXPECT_EQ(chat_field({{"max_completion_tokens", -1}}), "max_completion_tokens");
  EXPECT_EQ(chat_field({{"max_tokens", 100000}}), "messages");
  EXPECT_EQ(chat_field({{"top_logprobs", 2}}), "top_logprobs");
  EXPECT_EQ(chat_field({{"tools", {1}}}), "tools");
  EXPECT_EQ(chat_field({{"tool_choice", "required"}}), "tool_choice");
  EXPECT_EQ(chat_field({{"response_format", {{"type", "json_object"}}}}), "response_format");
  EXPECT_EQ(chat_field({{"stream_options", Json::object()}}), "stream_options");
  EXPECT_EQ(chat_field({{"messages", Json::array()}}), "messages");
  EXPECT_EQ(chat_field({{"messages", {{{"role", "user"}}}}}), "messages[0].content");
  const Json image = {{{"role", "user"}, {"content", {{{"type", "image_url"}}}}}};
  EXPECT_EQ(chat_field({{"messages", image}}), "messages[0].content[0].type");
  EXPECT_EQ(text_field({{"suffix", "x"}}), "suffix");
  EXPECT_EQ(text_field({{"prompt", nullptr}}), "prompt");
  EXPECT_EQ(text_field({{"prompt", {1, -1}}}), "prompt");
  EXPECT_EQ(text_field({{"prompt", {1, 1 << 30}}}), "prompt");
  EXPECT_EQ(text_field({{"best_of", 1}, {"n", 2}}), "best_of");
  EXPECT_EQ(text_field({{"best_of", 2}, {"stream", true}}), "best_of");
  EXPECT_EQ(text_field({{"max_tokens", 0}}), "max_tokens");
  EXPECT_EQ(text_field({{"n", 100}, {"prompt", std::vector<std::string>(11, "a")}}), "prompt");
  EXPECT_EQ(text_field({{"prompt", ""}, {"add_special_tokens", false}}), "prompt");
  EXPECT_EQ(text_field({{"echo", true}, {"max_tokens", 0}, {"prompt", std::string(100000, 'x')}}),
            "prompt");
  EXPECT_EQ(
      chat_field({{"n", 128}, {"logprobs", true}, {"top_logprobs", 100}, {"max_tokens", 400}}),
      "logprobs");
  EXPECT_EQ(chat_field({{"beam_width", 2}, {"n", 3}}), "n");
  const auto [field, message] = refusal(kChat, chat_body({{"model", "gpt-4o"}}), 404);
  EXPECT_EQ(field, "model");
  EXPECT_EQ(message, "model: 'gpt-4o' is not here; this is 'demo'");
}

TEST_F(OpenAiTest, AFullQueueSaysWhenToComeAgain) {
  EngineConfig engine_config = engine_config_;
  engine_config.max_sequences = 1;
  engine_config.max_queued = 1;
  const auto engine = make_engine(engine_config);
  const Service service{*engine, config_, workers_};
  const Router router = make_router(service);
  const std::vector<std::string> prompts(64, "Once upon a time");
  const Json body = {{"prompt", prompts}, {"max_tokens", 200}, {"ignore_eos", true}};
  FakeExchange exchange("POST", kText, body.dump());
  exchange.run([&router](Exchange& e) { return router.handle(e); });
  EXPECT_EQ(exchange.response.status, 429) << exchange.response.body;
  EXPECT_EQ(exchange.response.rejection, Rejection::queue_full);
  using Headers = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(exchange.response.headers, (Headers{{"Retry-After", "1"}}));
}

// No answer: one that says why would be counted as a refusal.
TEST_F(OpenAiTest, AClientThatHasGoneIsToldNothing) {
  for (const auto& [path, body] : {std::pair(kChat, chat_body()), std::pair(kText, text_body())}) {
    FakeExchange exchange("POST", path, body.dump());
    exchange.leave();
    exchange.run([this](Exchange& e) { return router_.handle(e); });
    EXPECT_EQ(exchange.response.status, 0) << exchange.response.body;
  }
}

TEST_F(OpenAiTest, UnknownFieldsAreNotedAndDoNothing) {
  const auto exchange = ask(kChat, chat_body({{"store", true}, {"user", "u"}}));
  EXPECT_EQ(exchange->response.status, 200);
  EXPECT_EQ(exchange->ignored, (std::vector<std::string>{"store"}));
  EXPECT_EQ(exchange->usage.generated_tokens, 12);
  const nlohmann::json options = {{"include_usage", true}, {"odd", 1}};
  const auto stream =
      ask(kText, text_body({{"stream", true}, {"stream_options", options}, {"w", 1}}));
  EXPECT_EQ(stream->ignored, (std::vector<std::string>{"stream_options.odd", "w"}));
}

TEST_F(OpenAiTest, ModelsAreListed) {
  const Json list = get("/v1/models");
  EXPECT_EQ(list["data"][0]["id"], "demo");
  EXPECT_EQ(list["data"][0]["max_model_len"], engine_->model().context_length);
  EXPECT_EQ(get("/v1/models/demo"), list["data"][0]);
  EXPECT_EQ(get("/version")["version"].get<std::string>().find_first_not_of("0123456789."),
            std::string::npos);
}

}  // namespace
}  // namespace octavo::server
