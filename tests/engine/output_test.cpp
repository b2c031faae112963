#include "engine/output.h"

#include <gtest/gtest.h>

#include "base/utf8.h"
#include "engine/request_check.h"
#include "engine_run.h"
#include "gguf/file.h"

namespace octavo {
namespace {

class OutputTest : public testing::Test {
 protected:
  OutputTest()
      : file_(std::move(*gguf::File::open(golden_model("llama")))),
        tokenizer_(std::move(*text::Tokenizer::create(file_.metadata()))) {
    info_.vocabulary = tokenizer_->vocabulary_size();
    info_.context_length = 64;
  }

  // The text and the reason when `tokens` are drawn one after the other.
  std::pair<std::string, FinishReason> feed(const SamplingParams& sampling,
                                            const std::vector<int32_t>& tokens) {
    const OutputRules rules =
        *make_rules({.prompt = {5}, .sampling = sampling}, info_, *tokenizer_);
    Output output(*tokenizer_, rules);
    std::string text;
    for (const int32_t token : tokens) {
      const FinishReason reason = output.accept(token, text);
      if (reason != FinishReason::none) return {text, reason};
    }
    return {text, FinishReason::none};
  }

  std::vector<int32_t> encode(const std::string& text) const {
    return tokenizer_->encode(text, {.add_special = false});
  }

  gguf::File file_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
  ModelInfo info_;
};

TEST_F(OutputTest, StopStringsThatSpanTokensAreNeverShown) {
  // Encoding puts a space before the first word; as a continuation it is shown.
  const std::string words = " one two END three";
  ASSERT_GT(encode("END").size(), 1u) << "the vocabulary has letters and bytes alone";
  const auto [text, reason] =
      feed({.max_tokens = 60, .stop = {"END", "never"}}, encode(words.substr(1)));
  EXPECT_EQ(reason, FinishReason::stop);
  EXPECT_EQ(text, words.substr(0, words.find("END")));
}

TEST_F(OutputTest, HalfAStopStringIsShownOnceItCannotBecomeOne) {
  const auto [text, reason] = feed({.max_tokens = 60, .stop = {"END"}}, encode("ENEN"));
  EXPECT_EQ(reason, FinishReason::none);
  EXPECT_TRUE(text.ends_with("EN")) << text;
  EXPECT_FALSE(text.ends_with("ENEN")) << text;
  const std::vector<int32_t> tokens = encode("ENEN");
  const auto [all, limit] =
      feed({.max_tokens = static_cast<int32_t>(tokens.size()), .stop = {"END"}}, tokens);
  EXPECT_EQ(limit, FinishReason::length);
  EXPECT_TRUE(all.ends_with("ENEN")) << all;
}

TEST_F(OutputTest, EndTokensEndAndAreNotShown) {
  const int32_t eos = *tokenizer_->eos();
  std::vector<int32_t> tokens = encode("ab");
  const std::string shown = feed({.max_tokens = 60}, tokens).first;
  tokens.push_back(eos);
  EXPECT_EQ(feed({.max_tokens = 60}, tokens), std::pair(shown, FinishReason::stop));
  const int32_t stop_token = tokens[tokens.size() - 2];
  EXPECT_EQ(feed({.max_tokens = 60, .stop_token_ids = {stop_token}}, tokens).second,
            FinishReason::stop);
}

TEST_F(OutputTest, MinTokensPutsEndsOff) {
  const OutputRules rules = *make_rules(
      {.prompt = {5}, .sampling = {.min_tokens = 2, .stop_token_ids = {7}}}, info_, *tokenizer_);
  const int32_t eos = *tokenizer_->eos();
  const Output output(*tokenizer_, rules);
  const auto is_banned = [&output](int32_t token, int32_t index) {
    const auto banned = output.banned(index);
    return std::find(banned.begin(), banned.end(), token) != banned.end();
  };
  for (const int32_t token : {eos, 7}) {
    EXPECT_TRUE(is_banned(token, 0));
    EXPECT_TRUE(is_banned(token, 1));
    EXPECT_FALSE(is_banned(token, 2));
  }
  const OutputRules ignoring =
      *make_rules({.prompt = {5}, .sampling = {.ignore_eos = true}}, info_, *tokenizer_);
  EXPECT_EQ(ignoring.never_drawn, tokenizer_->special().end_of_generation);
  EXPECT_TRUE(ignoring.end_tokens.empty());
}

TEST_F(OutputTest, CharactersAreNeverCut) {
  const std::string euro = "\xE2\x82\xAC";
  const std::vector<int32_t> tokens = encode(euro);
  ASSERT_GE(tokens.size(), 3u) << "a token per byte";
  const OutputRules rules = *make_rules({.prompt = {5}}, info_, *tokenizer_);
  Output output(*tokenizer_, rules);
  std::string text;
  for (const int32_t token : tokens) {
    output.accept(token, text);
    EXPECT_EQ(utf8_incomplete_suffix(text), 0u);
  }
  EXPECT_TRUE(text.ends_with(euro));
}

TEST_F(OutputTest, ASeedIsDrawnWhereNoneWasGiven) {
  const auto seed = [this](const SamplingParams& sampling) {
    return make_rules({.prompt = {5}, .sampling = sampling}, info_, *tokenizer_)->params.seed;
  };
  EXPECT_NE(seed({}), seed({}));
  EXPECT_EQ(seed({.seed = 9}), 9u);
}

}  // namespace
}  // namespace octavo
