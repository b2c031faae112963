// /tokenize, /detokenize and /apply-template in vLLM's form and in llama.cpp's.
#include "server/api_test.h"

namespace octavo::server {
namespace {

using TokenizeTest = ApiTest;

const Json kMessages = {{{"role", "user"}, {"content", "Hi"}}};

TEST_F(TokenizeTest, ThePromptsFormIsVllms) {
  const Json json = answer("/tokenize", {{"prompt", "Once upon"}, {"return_token_strs", true}});
  const std::vector<int32_t> tokens = *engine_->tokenize("Once upon", {});
  EXPECT_EQ(json["tokens"], tokens);
  EXPECT_EQ(json["count"], tokens.size());
  EXPECT_EQ(json["max_model_len"], engine_->model().context_length);
  EXPECT_EQ(json["token_strs"].back(), engine_->token_bytes(tokens.back()));
  EXPECT_TRUE(answer("/tokenize", {{"prompt", "Once"}})["token_strs"].is_null());
  const Json bare = answer("/tokenize", {{"prompt", "Once upon"}, {"add_special_tokens", false}});
  EXPECT_EQ(bare["tokens"], *engine_->tokenize("Once upon", {.add_special = false}));
}

TEST_F(TokenizeTest, AConversationGivesWhatAChatSees) {
  const Json json = answer("/tokenize", {{"messages", kMessages}});
  EXPECT_EQ(json["tokens"], *engine_->apply_chat_template({{"user", "Hi"}}));
  const Json open =
      answer("/tokenize", {{"messages", kMessages}, {"add_generation_prompt", false}});
  EXPECT_LT(open["count"], json["count"]);
}

TEST_F(TokenizeTest, TheContentsFormIsLlamaCpps) {
  const std::string text = "Once upon<|endoftext|>\xC3\xBF";
  const TokenizeOptions plain{.add_special = false, .parse_special = true};
  const Json json = answer("/tokenize", {{"content", text}});
  EXPECT_EQ(json, (Json{{"tokens", *engine_->tokenize(text, plain)}}));
  const Json verbatim = answer("/tokenize", {{"content", text}, {"parse_special", false}});
  EXPECT_EQ(verbatim["tokens"], *engine_->tokenize(text, {.add_special = false}));
  const Json special = answer("/tokenize", {{"content", "Hi"}, {"add_special", true}});
  EXPECT_EQ(special["tokens"], *engine_->tokenize("Hi", {}));
  // The pieces are the text again, those that are not UTF-8 as lists of bytes.
  std::string again;
  const Json pieces = answer("/tokenize", {{"content", text}, {"with_pieces", true}});
  for (const Json& token : pieces["tokens"]) {
    if (token["piece"].is_string()) again += token["piece"];
    if (!token["piece"].is_array()) continue;
    for (const Json& byte : token["piece"]) again += static_cast<char>(byte.get<int>());
  }
  EXPECT_EQ(again, text);
}

TEST_F(TokenizeTest, TokensBecomeTextAgain) {
  const Json json = answer("/detokenize", {{"tokens", *engine_->tokenize("Once upon", {})}});
  EXPECT_EQ(json["prompt"], "Once upon");
  EXPECT_EQ(json["content"], "Once upon");
}

TEST_F(TokenizeTest, TheTemplatesTextIsShown) {
  const Json json = answer("/apply-template", {{"messages", kMessages}});
  EXPECT_EQ(json, (Json{{"prompt", *engine_->render_chat_template({{"user", "Hi"}}, {})}}));
}

TEST_F(TokenizeTest, ErrorsNameTheFieldAndUnknownOnesAreNoted) {
  EXPECT_EQ(refusal("/tokenize", Json::object()).first, "prompt");
  EXPECT_EQ(refusal("/tokenize", {{"prompt", 5}}).first, "prompt");
  EXPECT_EQ(refusal("/tokenize", {{"content", {1}}}).first, "content");
  EXPECT_EQ(refusal("/tokenize", {{"prompt", "a"}, {"model", "b"}}, 404).first, "model");
  EXPECT_EQ(refusal("/detokenize", Json::object()).first, "tokens");
  EXPECT_EQ(refusal("/detokenize", {{"tokens", "1"}}).first, "tokens");
  EXPECT_EQ(refusal("/detokenize", {{"tokens", {1 << 30}}}).first, "tokens");
  EXPECT_EQ(refusal("/apply-template", {{"messages", {1}}}).first, "messages[0]");
  EXPECT_EQ(refusal("/apply-template", {{"messages", kMessages}, {"tools", {1}}}).first, "tools");
  EXPECT_EQ(ask("/tokenize", {{"prompt", "a"}, {"odd", 1}})->ignored,
            (std::vector<std::string>{"odd"}));
}

}  // namespace
}  // namespace octavo::server
