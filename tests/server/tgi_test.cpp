// TGI's API: what each parameter does, whole and as a stream, and how refusals look.
#include <set>

#include "server/neighbour_fixture.h"

namespace octavo::server {
namespace {

class TgiTest : public NeighbourTest {
 protected:
  static Json body(const Json& parameters = Json::object()) {
    Json all = {{"max_new_tokens", 12}};
    all.update(parameters);
    return {{"inputs", kStory}, {"parameters", std::move(all)}};
  }
  Request request(float temperature = 0.0F) {
    Request request;
    request.prompt = tokens(kStory);
    request.sampling.temperature = temperature;
    request.sampling.max_tokens = 12;
    return request;
  }
  std::string text(const Json& parameters) {
    return post("/generate", body(parameters))["generated_text"];
  }
  void expect_refused(const Json& parameters, const std::string& field) {
    const Json error = refusal("/generate", body(parameters), 422);
    EXPECT_EQ(error["error_type"], "validation");
    EXPECT_TRUE(error["error"].get<std::string>().starts_with(field + ": ")) << error;
  }
};

TEST_F(TgiTest, IsGreedyUnlessAskedToSample) {
  EXPECT_EQ(text(Json::object()), by_engine(request()).text);
  Request drawn = request(1.0F);
  drawn.sampling.seed = 7;
  EXPECT_EQ(text({{"do_sample", true}, {"seed", 7}}), by_engine(drawn).text);
  drawn.sampling.top_k = 5;
  EXPECT_EQ(text({{"top_k", 5}, {"seed", 7}}), by_engine(drawn).text);
}

TEST_F(TgiTest, EachParameterReachesTheEngine) {
  Request all = request(0.7F);
  all.sampling.seed = 3;
  all.sampling.top_k = 20;
  all.sampling.top_p = 0.9F;
  all.sampling.typical_p = 0.95F;
  all.sampling.repetition_penalty = 1.3F;
  all.sampling.frequency_penalty = 0.5F;
  EXPECT_EQ(text({{"seed", 3},
                  {"temperature", 0.7},
                  {"top_k", 20},
                  {"top_p", 0.9},
                  {"typical_p", 0.95},
                  {"repetition_penalty", 1.3},
                  {"frequency_penalty", 0.5}}),
            by_engine(all).text);
}

TEST_F(TgiTest, DetailsTellOfTokensAndTheEnd) {
  const Json answer = post("/generate", body({{"details", true}, {"top_n_tokens", 2}}));
  const Json& details = answer["details"];
  EXPECT_EQ(details["finish_reason"], "length");
  EXPECT_EQ(details["generated_tokens"], 12);
  ASSERT_EQ(details["tokens"].size(), 12u);
  ASSERT_EQ(details["top_tokens"].size(), 12u);
  EXPECT_TRUE(details["prefill"].empty());
  const OutputRecord expected = by_engine(request());
  for (size_t i = 0; i < 12; ++i) {
    EXPECT_EQ(details["tokens"][i]["id"], expected.tokens[i]);
    EXPECT_LE(details["tokens"][i]["logprob"], 0.0);
    EXPECT_EQ(details["tokens"][i]["special"], false);
    ASSERT_EQ(details["top_tokens"][i].size(), 2u);
    EXPECT_EQ(details["top_tokens"][i][0]["id"], expected.tokens[i]) << "it is greedy";
  }
  EXPECT_FALSE(post("/generate", body()).contains("details"));
}

TEST_F(TgiTest, DecoderInputDetailsAreThePromptsTokens) {
  const Json answer = post("/generate", body({{"decoder_input_details", true}}));
  const Json& prefill = answer["details"]["prefill"];
  const std::vector<int32_t> prompt = tokens(kStory);
  ASSERT_EQ(prefill.size(), prompt.size());
  EXPECT_TRUE(prefill[0]["logprob"].is_null());
  for (size_t i = 0; i < prompt.size(); ++i) {
    EXPECT_EQ(prefill[i]["id"], prompt[i]);
    if (i == 0) continue;
    EXPECT_LT(prefill[i]["logprob"], 0.0);
  }
}

TEST_F(TgiTest, AStopStringEndsItAndIsShown) {
  const std::string whole = by_engine(request()).text;
  const std::string stop = whole.substr(whole.size() / 2, 3);
  const Json answer = post("/generate", body({{"details", true}, {"stop", {stop}}}));
  EXPECT_EQ(answer["details"]["finish_reason"], "stop_sequence");
  EXPECT_EQ(answer["generated_text"], whole.substr(0, whole.find(stop)) + stop);
}

TEST_F(TgiTest, TheFullTextBeginsWithThePrompt) {
  EXPECT_EQ(text({{"return_full_text", true}}), kStory + by_engine(request()).text);
}

TEST_F(TgiTest, TruncateKeepsTheEndOfThePrompt) {
  Request shorter = request();
  shorter.prompt.erase(shorter.prompt.begin(), shorter.prompt.end() - 2);
  EXPECT_EQ(text({{"truncate", 2}}), by_engine(shorter).text);
}

TEST_F(TgiTest, TheBestOfSeveralIsGivenWithTheOthers) {
  const Json answer =
      post("/generate", body({{"best_of", 3}, {"do_sample", true}, {"details", true}}));
  const auto mean = [](const Json& of) {
    double sum = 0;
    for (const Json& token : of["tokens"]) sum += token["logprob"].get<double>();
    return sum / static_cast<double>(of["tokens"].size());
  };
  const Json& others = answer["details"]["best_of_sequences"];
  ASSERT_EQ(others.size(), 2u);
  for (const Json& other : others) {
    EXPECT_TRUE(other.contains("generated_text"));
    EXPECT_LE(mean(other), mean(answer["details"]));
  }
}

TEST_F(TgiTest, AStreamHasAnEventForEachToken) {
  const std::vector<Json> chunks = events("/generate_stream", body());
  ASSERT_EQ(chunks.size(), 12u);
  const OutputRecord expected = by_engine(request());
  std::string text;
  for (size_t i = 0; i < 12; ++i) {
    EXPECT_EQ(chunks[i]["index"], i + 1);
    EXPECT_EQ(chunks[i]["token"]["id"], expected.tokens[i]);
    text += chunks[i]["token"]["text"];
    EXPECT_EQ(chunks[i]["generated_text"].is_null(), i != 11);
  }
  EXPECT_EQ(text, expected.text);
  EXPECT_EQ(chunks.back()["generated_text"], expected.text);
  EXPECT_EQ(chunks.back()["details"]["finish_reason"], "length");
  EXPECT_EQ(chunks.back()["details"]["input_length"], tokens(kStory).size());
}

TEST_F(TgiTest, TheRootAnswersWithAListOrAStream) {
  Json asked = body();
  const Json list = post("/", asked);
  ASSERT_TRUE(list.is_array());
  EXPECT_EQ(list[0]["generated_text"], by_engine(request()).text);
  asked["stream"] = true;
  EXPECT_EQ(events("/", asked).size(), 12u);
}

TEST_F(TgiTest, WhatIsWrongOrNotThereIsNamed) {
  expect_refused({{"watermark", true}}, "watermark");
  expect_refused({{"grammar", {{"type", "regex"}, {"value", "a"}}}}, "grammar");
  expect_refused({{"adapter_id", "mine"}}, "adapter_id");
  expect_refused({{"top_p", 2}}, "top_p");
  expect_refused({{"typical_p", 2}}, "typical_p");
  expect_refused({{"max_new_tokens", 0}}, "max_new_tokens");
  expect_refused({{"max_new_tokens", "many"}}, "max_new_tokens");
  expect_refused({{"best_of", 2}}, "best_of");
  expect_refused({{"top_n_tokens", -1}}, "top_n_tokens");
  const Json error = refusal("/generate", {{"parameters", Json::object()}}, 422);
  EXPECT_EQ(error["error"], "inputs: it is missing");
  refusal("/generate_stream", body({{"decoder_input_details", true}}), 422);
  const Json long_one = {{"inputs", std::string(100'000, 'x')}};
  const std::string message = refusal("/generate", long_one, 422)["error"];
  EXPECT_TRUE(message.starts_with("inputs: ")) << message;
  post("/generate", body({{"watermark", false}, {"grammar", nullptr}}));
}

TEST_F(TgiTest, AClientThatHasGoneIsToldNothing) {
  EXPECT_EQ(status_without_client("/generate", body()), 0);
}

TEST_F(TgiTest, UnknownFieldsAreForTheLog) {
  Json asked = body({{"strange", 1}});
  asked["odd"] = 1;
  EXPECT_EQ(ignored_of("/generate", asked),
            (std::vector<std::string>{"odd", "parameters.strange"}));
}

TEST_F(TgiTest, InfoTellsOfTheModel) {
  const Json info = get("/info");
  EXPECT_EQ(info["model_id"], "demo");
  EXPECT_EQ(info["max_total_tokens"], engine_->model().context_length);
  std::vector<std::string> stops(info["max_stop_sequences"].get<size_t>(), "x");
  post("/generate", body({{"stop", stops}}));
  stops.emplace_back("x");
  refusal("/generate", body({{"stop", stops}}), 422);
}

}  // namespace
}  // namespace octavo::server
