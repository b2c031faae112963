// llama.cpp's own API: prompts in all their shapes, what each field does, and the answer's fields.
#include "server/neighbour_fixture.h"

namespace octavo::server {
namespace {

class LlamaCppTest : public NeighbourTest {
 protected:
  static Json body(const Json& more = Json::object()) {
    Json all = {{"prompt", kStory}, {"n_predict", 12}, {"temperature", 0}};
    all.update(more);
    return all;
  }
  Request greedy_story() {
    Request request;
    request.prompt = tokens(kStory);
    request.sampling.temperature = 0.0F;
    request.sampling.max_tokens = 12;
    return request;
  }
  std::string content(const Json& more) { return post("/completion", body(more))["content"]; }
  void expect_refused(const Json& more, const std::string& field) {
    const Json error = refusal("/completion", body(more), 400)["error"];
    EXPECT_TRUE(error["message"].get<std::string>().starts_with(field)) << error;
  }
};

TEST_F(LlamaCppTest, AnAnswerTellsWhatBecameOfIt) {
  const Json answer = post("/completion", body({{"return_tokens", true}}));
  const OutputRecord expected = by_engine(greedy_story());
  EXPECT_EQ(answer["content"], expected.text);
  EXPECT_EQ(answer["tokens"], Json(expected.tokens));
  EXPECT_EQ(answer["stop"], true);
  EXPECT_EQ(answer["stop_type"], "limit");
  EXPECT_EQ(answer["stopping_word"], "");
  EXPECT_EQ(answer["model"], "demo");
  EXPECT_EQ(answer["tokens_predicted"], 12);
  EXPECT_EQ(answer["tokens_evaluated"], tokens(kStory).size());
  EXPECT_EQ(answer["truncated"], false);
  EXPECT_EQ(answer["generation_settings"]["n_predict"], 12);
  const Json& timings = answer["timings"];
  EXPECT_EQ(timings["predicted_n"], 12);
  EXPECT_EQ(timings["prompt_n"].get<size_t>() + timings["cache_n"].get<size_t>(),
            tokens(kStory).size());
  EXPECT_GT(timings["prompt_ms"], 0.0);
}

TEST_F(LlamaCppTest, ItsOwnDefaultsHold) {
  Request drawn = greedy_story();
  drawn.sampling.temperature = 0.8F;
  drawn.sampling.top_k = 40;
  drawn.sampling.top_p = 0.95F;
  drawn.sampling.min_p = 0.05F;
  drawn.sampling.seed = 7;
  const Json asked = {{"prompt", kStory}, {"n_predict", 12}, {"seed", 7}};
  EXPECT_EQ(post("/completion", asked)["content"], by_engine(drawn).text);
}

TEST_F(LlamaCppTest, EachParameterReachesTheEngine) {
  Request all = greedy_story();
  all.sampling = {.temperature = 0.9F,
                  .top_k = 30,
                  .top_p = 0.8F,
                  .min_p = 0.01F,
                  .typical_p = 0.97F,
                  .repetition_penalty = 1.2F,
                  .frequency_penalty = 0.3F,
                  .presence_penalty = 0.4F,
                  .seed = 5,
                  .max_tokens = 12,
                  .ignore_eos = true};
  EXPECT_EQ(content({{"temperature", 0.9},
                     {"top_k", 30},
                     {"top_p", 0.8},
                     {"min_p", 0.01},
                     {"typical_p", 0.97},
                     {"repeat_penalty", 1.2},
                     {"frequency_penalty", 0.3},
                     {"presence_penalty", 0.4},
                     {"seed", 5},
                     {"ignore_eos", true}}),
            by_engine(all).text);
}

TEST_F(LlamaCppTest, APromptIsTextTokensOrBoth) {
  const std::string expected = by_engine(greedy_story()).text;
  EXPECT_EQ(content({{"prompt", tokens(kStory)}}), expected);
  EXPECT_EQ(content({{"prompt", {{"prompt_string", kStory}}}}), expected);
  Json mixed = Json::array({kStory});
  for (const int32_t id : tokens(" there", false)) mixed.push_back(id);
  Request both = greedy_story();
  both.prompt.insert(both.prompt.end(), mixed.begin() + 1, mixed.end());
  EXPECT_EQ(content({{"prompt", mixed}}), by_engine(both).text);
}

TEST_F(LlamaCppTest, SeveralPromptsAndOutputsGiveAList) {
  const Json list = post(
      "/completion", body({{"prompt", Json::array({kStory, tokens("The dog")})}, {"n_cmpl", 2}}));
  ASSERT_EQ(list.size(), 4u);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(list[i]["index"], i);
  EXPECT_EQ(list[0]["content"], by_engine(greedy_story()).text);
  EXPECT_EQ(list[1]["content"], list[0]["content"]);
  EXPECT_NE(list[2]["content"], list[0]["content"]);
}

TEST_F(LlamaCppTest, AStreamEndsWithWhatItCameTo) {
  const std::vector<Json> chunks = events("/completion", body({{"stream", true}}));
  ASSERT_GE(chunks.size(), 2u);
  std::string text;
  Json ids = Json::array();
  for (size_t i = 0; i + 1 < chunks.size(); ++i) {
    EXPECT_EQ(chunks[i]["stop"], false);
    text += chunks[i]["content"];
    for (const Json& id : chunks[i]["tokens"]) ids.push_back(id);
  }
  const OutputRecord expected = by_engine(greedy_story());
  EXPECT_EQ(text, expected.text);
  EXPECT_EQ(ids, Json(expected.tokens));
  EXPECT_EQ(chunks.back()["stop"], true);
  EXPECT_EQ(chunks.back()["content"], "");
  EXPECT_EQ(chunks.back()["stop_type"], "limit");
  EXPECT_EQ(chunks.back()["tokens_predicted"], 12);
}

TEST_F(LlamaCppTest, AStopStringIsToldAndNotShown) {
  const std::string whole = by_engine(greedy_story()).text;
  const std::string stop = whole.substr(whole.size() / 2, 3);
  const Json answer = post("/completion", body({{"stop", {"@@@", stop}}}));
  EXPECT_EQ(answer["content"], whole.substr(0, whole.find(stop)));
  EXPECT_EQ(answer["stop_type"], "word");
  EXPECT_EQ(answer["stopping_word"], stop);
}

TEST_F(LlamaCppTest, ProbabilitiesOfTokensAndTheirAlternatives) {
  const Json answer = post("/completion", body({{"n_probs", 3}}));
  const Json& list = answer["completion_probabilities"];
  ASSERT_EQ(list.size(), 12u);
  const OutputRecord expected = by_engine(greedy_story());
  for (size_t i = 0; i < 12; ++i) {
    EXPECT_EQ(list[i]["id"], expected.tokens[i]);
    ASSERT_EQ(list[i]["top_logprobs"].size(), 3u);
    EXPECT_EQ(list[i]["top_logprobs"][0]["id"], expected.tokens[i]) << "it is greedy";
    EXPECT_EQ(list[i]["logprob"], list[i]["top_logprobs"][0]["logprob"]);
  }
  EXPECT_FALSE(post("/completion", body()).contains("completion_probabilities"));
}

TEST_F(LlamaCppTest, ABiasMayForbidATokenOrATextsTokens) {
  const OutputRecord free = by_engine(greedy_story());
  const auto first = [this](const Json& bias) {
    const Json more = {{"logit_bias", bias}, {"n_predict", 1}, {"return_tokens", true}};
    return post("/completion", body(more))["tokens"][0].get<int32_t>();
  };
  EXPECT_EQ(first(Json::array()), free.tokens[0]);
  EXPECT_NE(first(Json::array({Json::array({free.tokens[0], false})})), free.tokens[0]);
  EXPECT_NE(first({{std::to_string(free.tokens[0]), -100}}), free.tokens[0]);
  const int32_t wanted = tokens("dog", false).front();
  EXPECT_EQ(first(Json::array({Json::array({wanted, 1000})})), wanted);
}

TEST_F(LlamaCppTest, WithoutTheCacheNothingIsFound) {
  const std::string story(400, 'a');
  const Json asked = body({{"prompt", story}});
  post("/completion", asked);
  EXPECT_GT(post("/completion", asked)["tokens_cached"], 0);
  Json uncached = asked;
  uncached["cache_prompt"] = false;
  EXPECT_EQ(post("/completion", uncached)["tokens_cached"], 0);
}

TEST_F(LlamaCppTest, NeutralValuesAreFineAndOthersAreNamed) {
  const std::string expected = by_engine(greedy_story()).text;
  EXPECT_EQ(content({{"mirostat", 0},
                     {"dry_multiplier", 0.0},
                     {"xtc_probability", 0},
                     {"grammar", ""},
                     {"lora", Json::array()},
                     {"id_slot", -1}}),
            expected);
  expect_refused({{"mirostat", 2}}, "mirostat: ");
  expect_refused({{"dry_multiplier", 0.8}}, "dry_multiplier: ");
  expect_refused({{"xtc_probability", 0.5}}, "xtc_probability: ");
  expect_refused({{"dynatemp_range", 0.5}}, "dynatemp_range: ");
  expect_refused({{"t_max_predict_ms", 9}}, "t_max_predict_ms: ");
  expect_refused({{"grammar", "root ::= \"a\""}}, "grammar: ");
  expect_refused({{"json_schema", {{"type", "object"}}}}, "json_schema: ");
  expect_refused({{"response_fields", {"content"}}}, "response_fields: ");
  expect_refused({{"prompt", {{"prompt_string", "a"}, {"multimodal_data", {"b"}}}}},
                 "prompt.multimodal_data: ");
  expect_refused({{"prompt", nullptr}}, "prompt: ");
  expect_refused({{"prompt", {1, "a", -5}}}, "prompt[2]: ");
  expect_refused({{"prompt", 7}}, "prompt: ");
  expect_refused({{"n_predict", 0}}, "n_predict: ");
  expect_refused({{"repeat_penalty", 0}}, "repeat_penalty: ");
  expect_refused({{"logit_bias", 7}}, "logit_bias: ");
  expect_refused({{"n_probs", 101}}, "n_probs: ");
  expect_refused({{"n_cmpl", 0}}, "n_cmpl: ");
}

TEST_F(LlamaCppTest, AClientThatHasGoneIsToldNothing) {
  EXPECT_EQ(status_without_client("/completion", {{"prompt", kStory}}), 0);
}

TEST_F(LlamaCppTest, UnknownFieldsAreForTheLog) {
  const Json body = {{"prompt", kStory}, {"odd", 1}, {"n_predict", 1}, {"samplers", {"top_k"}}};
  EXPECT_EQ(ignored_of("/completion", body), (std::vector<std::string>{"odd"}));
}

TEST_F(LlamaCppTest, PropsAndSlotsTellOfTheServer) {
  const Json props = get("/props");
  EXPECT_EQ(props["model_path"], engine_->model().path);
  EXPECT_EQ(props["chat_template"], engine_->model().chat_template);
  EXPECT_EQ(props["default_generation_settings"]["n_ctx"], engine_->model().context_length);
  EXPECT_EQ(props["default_generation_settings"]["params"]["top_k"], 40);
  EXPECT_EQ(props["total_slots"], EngineConfig().max_sequences);
  const Json slots = get("/slots");
  ASSERT_GE(slots.size(), 1u);
  EXPECT_EQ(slots.back()["is_processing"], false);
}

}  // namespace
}  // namespace octavo::server
