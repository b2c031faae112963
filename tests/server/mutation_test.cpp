// Valid bodies, changed at random: whatever comes, the answer is well-formed and the next request
// is served.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <set>

#include "server/api_test.h"

namespace octavo::server {
namespace {

struct Case {
  const char* path;
  const char* body;
};

constexpr Case kCases[] = {
    {"/v1/chat/completions",
     R"({"model": "demo", "messages": [{"role": "system", "content": "Be kind."},
         {"role": "user", "content": [{"type": "text", "text": "Hi"}]}], "max_tokens": 3, "n": 2,
         "stream": true, "stream_options": {"include_usage": true}, "stop": ["a", "b"],
         "logit_bias": {"5": -1.5}, "top_logprobs": 2, "logprobs": true, "seed": 1,
         "chat_template_kwargs": {"a": [1, {"b": null}]}, "tool_choice": "none",
         "response_format": {"type": "text"}})"},
    {"/v1/completions",
     R"({"prompt": ["Once", [1, 2, 3]], "max_tokens": 2, "n": 1, "best_of": 2, "echo": true,
         "logprobs": 1, "temperature": 0.5, "top_p": 0.9, "top_k": 5, "min_p": 0.1,
         "presence_penalty": 1, "repetition_penalty": 1.1, "ignore_eos": true,
         "stop_token_ids": [7], "cache_salt": "s", "priority": 1, "cache_ttl_seconds": 5})"},
    {"/v1/completions",
     R"({"prompt": "Once upon", "max_tokens": 3, "beam_width": 2, "n": 2, "length_penalty": 0.5,
         "early_stopping": "never"})"},
    {"/v1/embeddings",
     R"({"input": ["Once", [1, 2, 3]], "model": "demo", "encoding_format": "base64",
         "dimensions": null, "user": "u", "cache_salt": "s", "priority": 1, "normalize": true,
         "add_special_tokens": false})"},
    {"/v1/embeddings", R"({"input": [1, 2, 3], "encoding_format": "float"})"},
    {"/tokenize", R"({"content": "Once <|im_end|>", "with_pieces": true, "parse_special": true})"},
    {"/tokenize",
     R"({"messages": [{"role": "user", "content": "Hi"}], "return_token_strs": true})"},
    {"/detokenize", R"({"tokens": [1, 2, 3, 500]})"},
    {"/apply-template", R"({"messages": [{"role": "assistant", "content": "Hi"}]})"},
};

class MutationTest : public ApiTest {
 protected:
  size_t below(size_t limit) {
    return std::uniform_int_distribution<size_t>(0, limit - 1)(random_);
  }

  Json odd_value() {
    const std::vector<Json> values = {nullptr,
                                      true,
                                      false,
                                      0,
                                      -1,
                                      1,
                                      3,
                                      0.5,
                                      1e308,
                                      -1e-308,
                                      INT64_MAX,
                                      INT64_MIN,
                                      UINT64_MAX,
                                      "",
                                      "text",
                                      "none",
                                      std::string(3000, 'x'),
                                      "\xF0\x9F\x98\x80\n\t\x01",
                                      Json::array(),
                                      Json::object(),
                                      {1, 2},
                                      {{"a", 1}},
                                      {{"type", "text"}},
                                      {{"role", "user"}},
                                      Json::array({Json::array({Json::array()})})};
    return values[below(values.size())];
  }

  // Changes one value, anywhere in `json`.
  void change_value(Json& json) {
    const bool goes_down = json.is_structured() && !json.empty() && below(5) != 0;
    if (!goes_down) {
      json = odd_value();
      return;
    }
    auto member = json.begin();
    std::advance(member, below(json.size()));
    change_value(*member);
  }

  // Changes the bytes: what is left may be anything.
  void change_bytes(std::string& body) {
    const size_t at = below(body.size() + 1);
    const std::vector<std::string> odd = {"{", "}", "[",    "]",       "\"",
                                          ",", ":", "\\",   "\xFF",    "0",
                                          "-", "e", "null", "\\ud800", std::string(70, '['),
                                          "\0"};
    switch (below(4)) {
      case 0:
        body.resize(at);
        break;
      case 1:
        body.erase(at, 1 + below(4));
        break;
      case 2:
        body.insert(at, odd[below(odd.size())]);
        break;
      default:
        if (at < body.size()) body[at] = static_cast<char>(below(256));
    }
  }

  std::string mutated(const char* body) {
    Json json = Json::parse(body);
    for (size_t i = below(4); i > 0; --i) change_value(json);
    std::string text = json.dump();
    for (size_t i = below(3); i > 0; --i) change_bytes(text);
    return text;
  }

  void expect_well_formed(const std::string& path, const std::string& body) {
    FakeExchange exchange("POST", path, body);
    exchange.run([this](Exchange& e) { return router_.handle(e); });
    const HttpResponse& response = exchange.response;
    const std::set<int> statuses = {200, 400, 404, 429};
    EXPECT_TRUE(statuses.contains(response.status)) << response.status << ": " << body;
    if (exchange.streamed) {
      EXPECT_TRUE(response.body.ends_with("data: [DONE]\n\n")) << body;
      return;
    }
    const Json json = Json::parse(response.body, nullptr, false);
    EXPECT_TRUE(json.is_object()) << body << "\n" << response.body;
    EXPECT_EQ(json.contains("error"), response.status != 200) << body;
  }

  std::mt19937_64 random_;
};

TEST_F(MutationTest, AnswersStayWellFormed) {
  const char* given = std::getenv("OCTAVO_TEST_SEED");
  const uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  SCOPED_TRACE(testing::Message() << "OCTAVO_TEST_SEED=" << seed);
  random_.seed(seed);
  constexpr int kMutations = 10000;
  for (int i = 0; i < kMutations && !HasFailure(); ++i) {
    const Case& chosen = kCases[below(std::size(kCases))];
    expect_well_formed(chosen.path, mutated(chosen.body));
  }
  for (const Case& each : kCases)
    EXPECT_EQ(ask(each.path, Json::parse(each.body))->response.status, 200);
}

TEST_F(MutationTest, WhatTheFuzzerKnowsIsReplayed) {
  size_t bodies = 0;
  for (const auto& entry : std::filesystem::directory_iterator(OCTAVO_FUZZ_CORPUS "/body")) {
    SCOPED_TRACE(entry.path().filename());
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string body(std::istreambuf_iterator<char>(in), {});
    for (const Case& each : kCases) expect_well_formed(each.path, body);
    ++bodies;
  }
  EXPECT_GT(bodies, 0u);
}

}  // namespace
}  // namespace octavo::server
