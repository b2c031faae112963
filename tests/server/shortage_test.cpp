// What every API says where other programs took the memory for keys and values.
#include "engine/engine_ahead.h"
#include "server/api_error.h"
#include "server/neighbour_fixture.h"

namespace octavo::server {
namespace {

constexpr const char* kMessage =
    "the device has no memory left for the KV cache: other programs took it";

class ShortageTest : public NeighbourTest {
 protected:
  ShortageTest()
      : NeighbourTest(make_engine_of_blocks({.model_path = "builtin", .threads = 2},
                                            /*runs_ahead=*/false,
                                            std::make_shared<BlockLimit>(0))) {}

  Json whole(const std::string& path, const Json& body) {
    const auto exchange = ask("POST", path, body.dump());
    const HttpResponse& response = exchange->response;
    EXPECT_EQ(response.status, 503) << path << response.body;
    EXPECT_EQ(response.rejection, Rejection::no_memory) << path;
    EXPECT_EQ(response.headers, (decltype(response.headers){{"Retry-After", "5"}})) << path;
    return Json::parse(response.body);
  }
  // The last event of a stream.
  Json streamed(const std::string& path, Json body) {
    body["stream"] = true;
    return events(path, body).back();
  }
};

TEST_F(ShortageTest, OpenAi) {
  const Json error = {{"error",
                       {{"message", kMessage},
                        {"type", "server_error"},
                        {"param", nullptr},
                        {"code", "unavailable"}}}};
  const Json chat = {{"messages", {{{"role", "user"}, {"content", "hello"}}}}};
  const Json completion = {{"prompt", kStory}};
  const Json scored = {{"prompt", kStory}, {"echo", true}, {"logprobs", 1}};
  EXPECT_EQ(whole("/v1/chat/completions", chat), error);
  EXPECT_EQ(whole("/v1/completions", completion), error);
  EXPECT_EQ(whole("/v1/completions", scored), error);
  EXPECT_EQ(whole("/v1/embeddings", {{"input", kStory}}), error);
  EXPECT_EQ(streamed("/v1/chat/completions", chat), error);
  EXPECT_EQ(streamed("/v1/completions", completion), error);
  Json two = chat;
  two["n"] = 2;
  EXPECT_EQ(streamed("/v1/chat/completions", two), error);
  // All outputs but those of the request whose prompt was scored first, which generated nothing.
  const std::string metrics = ask("GET", "/metrics")->response.body;
  EXPECT_NE(metrics.find("request_success_total{finished_reason=\"no_memory\"} 7"),
            std::string::npos)
      << metrics;
}

TEST_F(ShortageTest, LlamaCpp) {
  const Json body = {{"prompt", kStory}, {"n_predict", 4}};
  EXPECT_EQ(whole("/completion", body)["error"]["message"], kMessage);
  EXPECT_EQ(streamed("/completion", body)["error"]["message"], kMessage);
}

TEST_F(ShortageTest, Tgi) {
  const Json error = {{"error", kMessage}, {"error_type", "incomplete_generation"}};
  EXPECT_EQ(whole("/generate", {{"inputs", kStory}}), error);
  EXPECT_EQ(
      whole("/generate", {{"inputs", kStory}, {"parameters", {{"decoder_input_details", true}}}}),
      error);
  EXPECT_EQ(events("/generate_stream", {{"inputs", kStory}}).back(), error);
}

TEST_F(ShortageTest, Kobold) {
  const Json error = {{"detail", {{"msg", kMessage}, {"type", "service_unavailable"}}}};
  EXPECT_EQ(whole("/api/v1/generate", {{"prompt", kStory}}), error);
  EXPECT_EQ(events("/api/extra/generate/stream", {{"prompt", kStory}}).back(), error);
}

TEST(UnfinishedError, IsThereForWhatIsNotWhole) {
  for (const FinishReason whole : {FinishReason::none, FinishReason::stop, FinishReason::length}) {
    EXPECT_FALSE(unfinished_error(whole));
  }
  EXPECT_EQ(unfinished_error(FinishReason::cancelled)->message, "the server is going down");
  EXPECT_EQ(unfinished_error(FinishReason::no_memory)->message, kMessage);
}

}  // namespace
}  // namespace octavo::server
