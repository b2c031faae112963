#include "engine/request_json.h"

#include <gtest/gtest.h>

namespace octavo {
namespace {

std::string sampling_error(const std::string& text) {
  SamplingParams params;
  const Result<void> read = read_sampling(nlohmann::json::parse(text), params);
  return read.ok() ? "no error" : read.error().message;
}

TEST(RequestJson, ReadsEverySamplingParameter) {
  SamplingParams params;
  const auto object = nlohmann::json::parse(R"({
    "temperature": 0.5, "top_k": 40, "top_p": 0.9, "min_p": 0.05, "typical_p": 0.8,
    "repetition_penalty": 1.1, "frequency_penalty": -1, "presence_penalty": 2,
    "logit_bias": {"7": -1.5, "8": 3}, "seed": 18446744073709551615, "max_tokens": 0,
    "min_tokens": 3, "ignore_eos": true, "stop": ["a", "b"], "stop_token_ids": [1, 2],
    "logprobs": 5})");
  size_t fields = 0;
  visit_sampling(params, [&](const SamplingField& field, const auto&) {
    EXPECT_TRUE(object.contains(field.name)) << "this test does not know " << field.name;
    EXPECT_TRUE(is_sampling_field(field.name));
    fields += 1;
  });
  EXPECT_EQ(object.size(), fields);
  const Result<void> read = read_sampling(object, params);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(params.temperature, 0.5F);
  EXPECT_EQ(params.top_k, 40);
  EXPECT_EQ(params.top_p, 0.9F);
  EXPECT_EQ(params.min_p, 0.05F);
  EXPECT_EQ(params.typical_p, 0.8F);
  EXPECT_EQ(params.repetition_penalty, 1.1F);
  EXPECT_EQ(params.frequency_penalty, -1.0F);
  EXPECT_EQ(params.presence_penalty, 2.0F);
  ASSERT_EQ(params.logit_bias.size(), 2u);
  EXPECT_EQ(params.logit_bias[0].token, 7);
  EXPECT_EQ(params.logit_bias[0].bias, -1.5F);
  EXPECT_EQ(params.seed, ~uint64_t{0});
  EXPECT_EQ(params.max_tokens, 0);
  EXPECT_EQ(params.min_tokens, 3);
  EXPECT_TRUE(params.ignore_eos);
  EXPECT_EQ(params.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(params.stop_token_ids, (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(params.logprobs, 5);
}

TEST(RequestJson, LeavesWhatIsNotGiven) {
  SamplingParams params{.top_k = 7, .seed = 3, .stop = {"x"}};
  ASSERT_TRUE(read_sampling({{"seed", nullptr}, {"stop", "y"}, {"model", "m"}}, params).ok());
  EXPECT_EQ(params.top_k, 7);
  EXPECT_EQ(params.seed, 3u);
  EXPECT_EQ(params.stop, std::vector<std::string>{"y"});
  EXPECT_FALSE(is_sampling_field("model"));
}

TEST(RequestJson, ErrorsNameTheField) {
  EXPECT_EQ(sampling_error("[]"), "a JSON object expected");
  EXPECT_EQ(sampling_error(R"({"temperature": "hot"})"),
            "temperature: a number expected, not string");
  EXPECT_EQ(sampling_error(R"({"temperature": 1e300})"), "temperature: 1e+300 is out of range");
  EXPECT_EQ(sampling_error(R"({"temperature": -1})"), "temperature: -1 is not in [0, 100]");
  EXPECT_EQ(sampling_error(R"({"top_k": 1.5})"), "top_k: an integer expected, not number");
  EXPECT_EQ(sampling_error(R"({"top_k": 3000000000})"), "top_k: 3000000000 is out of range");
  EXPECT_EQ(sampling_error(R"({"top_k": -3000000000})"), "top_k: -3000000000 is out of range");
  EXPECT_EQ(sampling_error(R"({"top_p": 0})"), "top_p: 0 is not in (0, 1]");
  EXPECT_EQ(sampling_error(R"({"seed": -1})"), "seed: -1 is out of range");
  EXPECT_EQ(sampling_error(R"({"ignore_eos": 1})"),
            "ignore_eos: true or false expected, not number");
  EXPECT_EQ(sampling_error(R"({"stop": 1})"),
            "stop: a string or a list of strings expected, not number");
  EXPECT_EQ(sampling_error(R"({"stop": ["a", 1]})"),
            "stop: a list of strings expected, not number");
  EXPECT_EQ(sampling_error(R"({"stop_token_ids": [1, "2"]})"),
            "stop_token_ids: an integer expected, not string");
  EXPECT_EQ(sampling_error(R"({"logit_bias": [1]})"),
            "logit_bias: an object of token ids and biases expected, not array");
  EXPECT_EQ(sampling_error(R"({"logit_bias": {"1x": 1}})"), "logit_bias: '1x' is not a token id");
  EXPECT_EQ(sampling_error(R"({"logit_bias": {"1": null}})"),
            "logit_bias: a number expected, not null");
  EXPECT_EQ(sampling_error(R"({"min_tokens": 5, "max_tokens": 4})"),
            "min_tokens: 5 is more than max_tokens 4");
  EXPECT_EQ(sampling_error(R"({"logprobs": 101})"), "logprobs: 101 is not in [-1, 100]");
}

std::string messages_error(const std::string& text) {
  const auto messages = read_messages(nlohmann::json::parse(text), "messages");
  return messages.ok() ? "no error" : messages.error().message;
}

TEST(RequestJson, ReadsMessages) {
  const auto list = nlohmann::json::parse(
      R"([{"role": "system", "content": "s"}, {"role": "user", "content": "u"}])");
  const auto messages = read_messages(list, "messages");
  ASSERT_TRUE(messages.ok());
  ASSERT_EQ(messages->size(), 2u);
  EXPECT_EQ((*messages)[1].role, "user");
  EXPECT_EQ((*messages)[1].content, "u");
  EXPECT_EQ(messages_error("[]"), "messages: a list of at least one message expected");
  EXPECT_EQ(messages_error("{}"), "messages: a list of at least one message expected");
  EXPECT_EQ(messages_error("[1]"), "messages[0]: an object expected, not number");
  EXPECT_EQ(messages_error(R"([{"role": "user"}])"), "messages[0]: 'content' is missing");
  EXPECT_EQ(messages_error(R"([{"role": "user", "content": []}])"),
            "messages[0].content: a string expected, not array");
}

TEST(ReadBeam, ReadsASearchAndNamesWhatIsWrong) {
  const auto read = [](const char* text, std::optional<BeamParams>& beam) {
    const Result<void> status = read_beam(nlohmann::json::parse(text), beam);
    return status.ok() ? std::string() : status.error().message;
  };
  std::optional<BeamParams> beam;
  EXPECT_EQ(read(R"({"prompt": "x", "beam_width": null})", beam), "");
  EXPECT_FALSE(beam);
  EXPECT_EQ(read(R"({"length_penalty": 2})", beam), "length_penalty: without beam_width");
  EXPECT_EQ(read(R"({"beam_width": 3, "length_penalty": 2, "early_stopping": "never"})", beam), "");
  EXPECT_EQ(beam->width, 3);
  EXPECT_EQ(beam->length_penalty, 2.0F);
  EXPECT_EQ(beam->early_stopping, EarlyStopping::never);
  EXPECT_EQ(read(R"({"early_stopping": true})", beam), "");
  EXPECT_EQ(beam->early_stopping, EarlyStopping::yes);
  EXPECT_EQ(read(R"({"early_stopping": "soon"})", beam),
            "early_stopping: true, false or \"never\" expected, not string");
  EXPECT_EQ(read(R"({"beam_width": 1.5})", beam), "beam_width: an integer expected, not number");
}

}  // namespace
}  // namespace octavo
