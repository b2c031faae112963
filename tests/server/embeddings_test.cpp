// /v1/embeddings: what a body asks of the engine, the answer's form, and what is refused.
#include <openssl/evp.h>

#include <cmath>
#include <cstring>

#include "server/api_test.h"
#include "server/openai/embeddings_request.h"

namespace octavo::server {
namespace {

using Embedding = std::vector<float>;
using Refusal = std::pair<std::string, std::string>;  // the field and the message

class EmbeddingsTest : public ApiTest {
 protected:
  // Of the engine itself, scaled to length 1.
  Embedding expected(const std::vector<int32_t>& tokens) {
    Request request;
    request.prompt = tokens;
    request.embed = true;
    Embedding embedding = run_to_end(*engine_, request)[0].embedding;
    double squares = 0.0;
    for (const float value : embedding) squares += std::pow(double{value}, 2);
    for (float& value : embedding) value = static_cast<float>(value / std::sqrt(squares));
    return embedding;
  }
  Embedding expected(const std::string& text) { return expected(*engine_->tokenize(text, {})); }

  std::vector<Embedding> embeddings(const Json& body) {
    const Json json = answer("/v1/embeddings", body);
    std::vector<Embedding> all;
    for (const Json& each : json["data"]) all.push_back(each["embedding"].get<Embedding>());
    return all;
  }
  Refusal refused(const Json& body, int status = 400) {
    return refusal("/v1/embeddings", body, status);
  }
};

TEST_F(EmbeddingsTest, TheAnswerHasOpenAisForm) {
  const Json json = answer("/v1/embeddings", {{"input", {"Once upon", "The end"}}});
  EXPECT_EQ(json["object"], "list");
  EXPECT_EQ(json["model"], "demo");
  ASSERT_EQ(json["data"].size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(json["data"][i]["object"], "embedding");
    EXPECT_EQ(json["data"][i]["index"], i);
  }
  const size_t tokens =
      engine_->tokenize("Once upon", {})->size() + engine_->tokenize("The end", {})->size();
  EXPECT_EQ(json["usage"], (Json{{"prompt_tokens", tokens}, {"total_tokens", tokens}}));
}

TEST_F(EmbeddingsTest, InputsOfEveryForm) {
  const std::string text = "Once upon";
  const std::vector<int32_t> ids = *engine_->tokenize(text, {});
  const std::vector<Embedding> one = {expected(text)};
  EXPECT_EQ(one[0].size(), static_cast<size_t>(engine_->model().embedding_size));
  EXPECT_EQ(embeddings({{"input", text}}), one);
  EXPECT_EQ(embeddings({{"input", Json::array({text})}}), one);
  EXPECT_EQ(embeddings({{"input", ids}}), one);
  EXPECT_EQ(embeddings({{"input", Json::array({ids})}}), one);
  EXPECT_EQ(embeddings({{"input", {"The end", text}}}),
            (std::vector<Embedding>{expected("The end"), one[0]}));
  const std::vector<int32_t> bare = *engine_->tokenize(text, {.add_special = false});
  EXPECT_EQ(embeddings({{"input", text}, {"add_special_tokens", false}}),
            (std::vector<Embedding>{expected(bare)}));
}

TEST_F(EmbeddingsTest, Base64IsTheFloatsBytes) {
  const Json json =
      answer("/v1/embeddings", {{"input", "Once upon"}, {"encoding_format", "base64"}});
  const std::string text = json["data"][0]["embedding"];
  std::vector<unsigned char> bytes(text.size());
  const int decoded =
      EVP_DecodeBlock(bytes.data(), reinterpret_cast<const unsigned char*>(text.data()),
                      static_cast<int>(text.size()));
  const Embedding wanted = expected("Once upon");
  const size_t size = wanted.size() * sizeof(float);
  ASSERT_EQ(static_cast<size_t>(decoded), (size + 2) / 3 * 3);
  EXPECT_EQ(std::memcmp(bytes.data(), wanted.data(), size), 0);
  const size_t padding = text.size() - text.find_last_not_of('=') - 1;
  EXPECT_EQ(padding, (3 - size % 3) % 3);
}

TEST_F(EmbeddingsTest, FieldsReachTheEngine) {
  const Json body = {{"input", "a"},
                     {"model", "demo"},
                     {"user", "u"},
                     {"dimensions", engine_->model().embedding_size},
                     {"priority", -2},
                     {"cache_salt", "s"},
                     {"normalize", true},
                     {"embd_normalize", 2},
                     {"embed_dtype", "float32"},
                     {"endianness", "native"},
                     {"odd", 1}};
  Fields fields(body);
  const auto request = read_embeddings_request(fields, "demo", *engine_);
  ASSERT_TRUE(request.ok()) << request.error().message;
  EXPECT_FALSE(request->base64);
  ASSERT_EQ(request->requests.size(), 1u);
  EXPECT_TRUE(request->requests[0].embed);
  EXPECT_EQ(request->requests[0].priority, -2);
  EXPECT_EQ(request->requests[0].cache_salt, "s");
  EXPECT_EQ(request->unknown, (std::vector<std::string>{"odd"}));
}

TEST_F(EmbeddingsTest, WhatCanNotBeIsNamed) {
  EXPECT_EQ(refused(Json::object()), Refusal("input", "input: it is missing"));
  EXPECT_EQ(refused({{"input", 5}}).first, "input");
  EXPECT_EQ(refused({{"input", Json::array()}}).first, "input");
  EXPECT_EQ(refused({{"input", ""}}), Refusal("input", "input: it is empty"));
  EXPECT_EQ(refused({{"input", {"a", ""}}}).first, "input[1]");
  EXPECT_EQ(refused({{"input", Json::array({Json::array()})}}).first, "input[0]");
  EXPECT_EQ(refused({{"input", {"a", 5}}}).first, "input[1]");
  EXPECT_EQ(refused({{"input", {1 << 30}}}).first, "input");
  EXPECT_EQ(refused({{"input", "a"}, {"model", "other"}}, 404).first, "model");
  EXPECT_EQ(refused({{"input", "a"}, {"dimensions", 8}}).first, "dimensions");
  EXPECT_EQ(refused({{"input", "a"}, {"encoding_format", "int8"}}),
            Refusal("encoding_format", "encoding_format: 'int8' is not float or base64"));
  EXPECT_EQ(refused({{"input", "a"}, {"priority", "high"}}).first, "priority");
  EXPECT_EQ(refused({{"input", "a"}, {"cache_salt", std::string(300, 's')}}).first, "cache_salt");
  for (const char* name : {"messages", "truncate_prompt_tokens", "normalize", "embd_normalize",
                           "embed_dtype", "endianness"}) {
    EXPECT_EQ(refused({{"input", "a"}, {name, "x"}}).first, name);
  }
}

TEST_F(EmbeddingsTest, AnInputMayFillTheContextAndNotMore) {
  const auto length = static_cast<size_t>(engine_->model().context_length);
  const std::vector<int32_t> longest(length, 300);
  EXPECT_EQ(embeddings({{"input", longest}}).size(), 1u);
  const std::vector<int32_t> longer(length + 1, 300);
  const std::string numbers =
      std::to_string(length + 1) + " tokens are more than the context of " + std::to_string(length);
  EXPECT_EQ(refused({{"input", longer}}), Refusal("input", "input: " + numbers));
  EXPECT_EQ(refused({{"input", Json::array({longest, longer})}}),
            Refusal("input[1]", "input[1]: " + numbers));
  EXPECT_EQ(ask("/v1/embeddings", {{"input", longer}})->response.rejection, Rejection::too_long);
}

TEST_F(EmbeddingsTest, AreCountedAsWhatTheyAre) {
  const auto exchange = ask("/v1/embeddings", {{"input", {"Once upon", "Once upon"}}});
  const auto tokens = static_cast<int64_t>(engine_->tokenize("Once upon", {})->size());
  EXPECT_EQ(exchange->usage.prompt_tokens, 2 * tokens);
  EXPECT_EQ(exchange->usage.generated_tokens, 0);
  engine_->cache_snapshot();  // waits for the step in progress
  const std::string metrics = service_.metrics->scrape(engine_->stats());
  EXPECT_NE(metrics.find("request_success_total{finished_reason=\"stop\"} 2"), metrics.npos);
  EXPECT_NE(metrics.find("octavo:e2e_request_latency_seconds_count 2"), metrics.npos);
  EXPECT_NE(metrics.find("octavo:generation_tokens_total 0"), metrics.npos);
  EXPECT_NE(metrics.find("octavo:time_to_first_token_seconds_count 0"), metrics.npos);
}

TEST_F(EmbeddingsTest, AreNotMadeForAClientThatHasGone) {
  FakeExchange exchange("POST", "/v1/embeddings", Json{{"input", {"Once", "The end"}}}.dump());
  exchange.leave();
  exchange.run([this](Exchange& e) { return router_.handle(e); });
  EXPECT_EQ(exchange.response.status, 0);
  EXPECT_EQ(engine_->cache_snapshot().sequences.size(), 0u);
}

}  // namespace
}  // namespace octavo::server
