// KoboldAI's API: generating whole and as a stream, asking after a generation by its key, facts.
#include <atomic>
#include <thread>

#include "server/http_client.h"
#include "server/kobold/running.h"
#include "server/neighbour_fixture.h"
#include "server/server.h"

namespace octavo::server {
namespace {

class KoboldTest : public NeighbourTest {
 protected:
  static Json body(const Json& more = Json::object()) {
    Json all = {{"prompt", kStory}, {"max_length", 12}, {"temperature", 0}};
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
  std::string text(const Json& more) {
    return post("/api/v1/generate", body(more))["results"][0]["text"];
  }
  void expect_refused(const Json& more, const std::string& field) {
    const Json detail = refusal("/api/v1/generate", body(more), 400)["detail"];
    EXPECT_TRUE(detail["msg"].get<std::string>().starts_with(field + ": ")) << detail;
    EXPECT_EQ(detail["type"], "bad_input");
  }
};

TEST_F(KoboldTest, GeneratesWhatTheEngineGives) {
  const Json answer = post("/api/v1/generate", body());
  ASSERT_EQ(answer["results"].size(), 1u);
  const Json& result = answer["results"][0];
  EXPECT_EQ(result["text"], by_engine(greedy_story()).text);
  EXPECT_EQ(result["finish_reason"], "length");
  EXPECT_EQ(result["prompt_tokens"], tokens(kStory).size());
  EXPECT_EQ(result["completion_tokens"], 12);
}

TEST_F(KoboldTest, EachParameterReachesTheEngine) {
  Request all = greedy_story();
  all.sampling = {.temperature = 0.9F,
                  .top_k = 30,
                  .top_p = 0.8F,
                  .min_p = 0.01F,
                  .typical_p = 0.97F,
                  .repetition_penalty = 1.2F,
                  .presence_penalty = 0.4F,
                  .seed = 5,
                  .max_tokens = 12,
                  .ignore_eos = true};
  EXPECT_EQ(text({{"temperature", 0.9},
                  {"top_k", 30},
                  {"top_p", 0.8},
                  {"min_p", 0.01},
                  {"typical", 0.97},
                  {"rep_pen", 1.2},
                  {"presence_penalty", 0.4},
                  {"sampler_seed", 5},
                  {"use_default_badwordsids", true}}),
            by_engine(all).text);
}

TEST_F(KoboldTest, TheMemoryStaysAndThePromptsBeginningGoes) {
  Request expected = greedy_story();
  expected.prompt = tokens("The dog.");
  const size_t memory = expected.prompt.size();
  const std::vector<int32_t> story = tokens(kStory, false);
  expected.prompt.insert(expected.prompt.end(), story.end() - 2, story.end());
  EXPECT_EQ(text({{"memory", "The dog."}, {"max_context_length", 12 + memory + 2}}),
            by_engine(expected).text);
}

TEST_F(KoboldTest, AStopStringIsShownWhenAskedFor) {
  const std::string whole = by_engine(greedy_story()).text;
  const std::string stop = whole.substr(whole.size() / 2, 3);
  const std::string before = whole.substr(0, whole.find(stop));
  EXPECT_EQ(text({{"stop_sequence", {stop}}}), before);
  EXPECT_EQ(text({{"stop_sequence", {stop}}, {"trim_stop", false}}), before + stop);
}

TEST_F(KoboldTest, AStreamsEventsAreNamedMessage) {
  const std::vector<Json> chunks =
      events("/api/extra/generate/stream", body(), "event: message\ndata: ");
  ASSERT_FALSE(chunks.empty());
  std::string all;
  for (const Json& chunk : chunks) {
    all += chunk["token"];
    EXPECT_EQ(chunk["finish_reason"].is_null(), &chunk != &chunks.back());
  }
  EXPECT_EQ(all, by_engine(greedy_story()).text);
  EXPECT_EQ(chunks.back()["finish_reason"], "length");
}

// POSTs over one connection to a real server.
class Caller {
 public:
  explicit Caller(const Server& server) : client_(server.addresses().at(0)) {}

  Json post(const std::string& path, const Json& body) {
    const std::string text = body.dump();
    const HttpAnswer answer = client_.ask(
        "POST " + path + " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(text.size()) +
        "\r\n\r\n" + text);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return Json::parse(answer.body, nullptr, false);
  }
  std::string check(const Json& asked) {
    return post("/api/extra/generate/check", asked)["results"][0]["text"];
  }
  bool abort(const Json& asked) { return post("/api/extra/abort", asked)["success"] == "true"; }

 private:
  HttpClient client_;
};

// One request generates for long; others ask after it, and stop it. It may be over before they
// come: then it is tried again.
TEST_F(KoboldTest, AKeyFindsARunningGeneration) {
  const auto server = Server::start(*engine_, {.port = 0});
  ASSERT_TRUE(server) << server.error().message;
  const Json key = {{"genkey", "KCPP1234"}};
  const Json other = {{"genkey", "another"}};
  Caller caller(**server);
  EXPECT_EQ(caller.check(key), "");
  EXPECT_FALSE(caller.abort(key));
  bool was_aborted = false;
  for (int attempt = 0; attempt < 50 && !was_aborted; ++attempt) {
    std::string text;
    std::atomic<bool> is_over{false};
    std::thread client([&] {
      Json asked = body({{"max_length", 400}, {"use_default_badwordsids", true}});
      asked.update(key);
      text = Caller(**server).post("/api/v1/generate", asked)["results"][0]["text"];
      is_over = true;
    });
    std::string seen;
    while (seen.empty() && !is_over) seen = caller.check(key);
    EXPECT_EQ(caller.check(other), "");
    EXPECT_EQ(caller.check(Json::object()), "");
    EXPECT_FALSE(caller.abort(other));
    EXPECT_FALSE(caller.abort(Json::object()));
    was_aborted = caller.abort(key);
    client.join();
    EXPECT_TRUE(text.starts_with(seen));
  }
  EXPECT_TRUE(was_aborted);
  EXPECT_EQ(caller.check(key), "");
}

TEST_F(KoboldTest, AKeyBelongsToWhoMadeIt) {
  RunningGenerations running;
  FakeExchange alice("POST", "/");
  FakeExchange bob("POST", "/");
  alice.request_.headers = {{"Authorization", "Bearer a"}};
  bob.request_.headers = {{"Authorization", "Bearer b"}};
  auto generation = Generation::start(service_, alice, {greedy_story()});
  ASSERT_TRUE(generation);
  RunningGenerations::Entry entry(running, alice, "key", **generation);
  entry.append("Once");
  entry.append(" upon");
  EXPECT_EQ(running.text(alice, "key"), "Once upon");
  EXPECT_EQ(running.text(bob, "key"), "");
  EXPECT_FALSE(running.cancel(bob, "key"));
  EXPECT_TRUE(running.cancel(alice, "key"));
}

TEST_F(KoboldTest, CountsTokens) {
  const Json counted = post("/api/extra/tokencount", {{"prompt", kStory}});
  EXPECT_EQ(counted["value"], tokens(kStory).size());
  EXPECT_EQ(counted["ids"], Json(tokens(kStory)));
  refusal("/api/extra/tokencount", Json::object(), 400);
}

TEST_F(KoboldTest, NeutralValuesAreFineAndOthersAreNamed) {
  EXPECT_EQ(text({{"tfs", 1},
                  {"top_a", 0},
                  {"mirostat", 0},
                  {"grammar", ""},
                  {"n", 1},
                  {"rep_pen_range", 320},
                  {"sampler_order", {6, 0, 1, 3, 4, 2, 5}}}),
            by_engine(greedy_story()).text);
  expect_refused({{"tfs", 0.9}}, "tfs");
  expect_refused({{"top_a", 0.2}}, "top_a");
  expect_refused({{"mirostat", 2}}, "mirostat");
  expect_refused({{"smoothing_factor", 0.2}}, "smoothing_factor");
  expect_refused({{"grammar", "root ::= \"a\""}}, "grammar");
  expect_refused({{"images", {"aGk="}}}, "images");
  expect_refused({{"banned_tokens", {"a"}}}, "banned_tokens");
  expect_refused({{"rep_pen", 0}}, "rep_pen");
  expect_refused({{"typical", 3}}, "typical");
  expect_refused({{"max_length", 0}}, "max_length");
  expect_refused({{"max_length", 1000000}}, "max_length");
  expect_refused({{"prompt", nullptr}}, "prompt");
  expect_refused({{"genkey", 7}}, "genkey");
}

TEST_F(KoboldTest, AClientThatHasGoneIsToldNothing) {
  EXPECT_EQ(status_without_client("/api/v1/generate", {{"prompt", kStory}}), 0);
}

TEST_F(KoboldTest, UnknownFieldsAreForTheLog) {
  const Json body = {{"prompt", kStory}, {"odd", 1}, {"max_length", 1}, {"use_story", true}};
  const std::vector<std::string> odd = {"odd"};
  EXPECT_EQ(ignored_of("/api/v1/generate", body), odd);
  EXPECT_EQ(ignored_of("/api/extra/tokencount", {{"prompt", kStory}, {"odd", 1}}), odd);
  EXPECT_EQ(ignored_of("/api/extra/generate/check", {{"genkey", "key"}, {"odd", 1}}), odd);
  EXPECT_EQ(ignored_of("/api/extra/abort", {{"odd", 1}}), odd);
}

TEST_F(KoboldTest, FactsOfTheModel) {
  EXPECT_EQ(get("/api/v1/model")["result"], "octavo/demo");
  EXPECT_EQ(get("/api/v1/info/version")["result"], "1.2.5");
  const int32_t context = engine_->model().context_length;
  EXPECT_EQ(get("/api/v1/config/max_context_length")["value"], context);
  EXPECT_EQ(get("/api/extra/true_max_context_length")["value"], context);
  EXPECT_EQ(get("/api/extra/version")["result"], "KoboldCpp");
}

}  // namespace
}  // namespace octavo::server
