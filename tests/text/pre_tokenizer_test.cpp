#include "text/pre_tokenizer.h"

#include "text/pre_tokenizer_patterns.h"
#include "text/support.h"

namespace octavo::text {
namespace {

using Words = std::vector<std::string>;

PreTokenizer must_create_pre_tokenizer(std::string_view name) {
  auto made = PreTokenizer::create(name);
  EXPECT_TRUE(made.ok()) << name;
  return std::move(made).value();
}

Words split(std::string_view name, std::string_view text) {
  const PreTokenizer pre_tokenizer = must_create_pre_tokenizer(name);
  const std::vector<std::string_view> words = pre_tokenizer.split(text);
  return Words(words.begin(), words.end());
}

std::string joined(const std::vector<std::string_view>& words) {
  std::string text;
  for (const std::string_view word : words) {
    EXPECT_FALSE(word.empty());
    text += word;
  }
  return text;
}

TEST(PreTokenizer, CutsAsEachFamilyDoes) {
  EXPECT_EQ(split("gpt-2", "I'll pay 1234 now!  OK"),
            (Words{"I", "'ll", " pay", " 1234", " now", "!", " ", " OK"}));
  EXPECT_EQ(split("gpt-2", "I'LL"), (Words{"I", "'", "LL"}));
  EXPECT_EQ(split("smollm", "in 1234"), (Words{"in", " ", "1", "2", "3", "4"}));
  EXPECT_EQ(split("llama-bpe", "I'LL pay 12345\n\n  now"),
            (Words{"I", "'LL", " pay", " ", "123", "45", "\n\n", " ", " now"}));
  EXPECT_EQ(split("qwen2", "a 12;\n\nb"), (Words{"a", " ", "1", "2", ";\n\n", "b"}));
  EXPECT_EQ(split("tekken", "myHTMLPage/\n"), (Words{"my", "HTMLPage", "/\n"}));
  EXPECT_EQ(split("gpt-4o", "It's ABC12345"), (Words{"It's", " ABC", "123", "45"}));
  // A vowel sign belongs to its word.
  EXPECT_EQ(split("gpt-4o", "नमस्ते\n"), (Words{"नमस्ते", "\n"}));
  EXPECT_EQ(split("falcon", "a+b 12345"), (Words{"a", "+", "b", " ", "123", "45"}));
  EXPECT_EQ(split("default", "x`y 12345"), (Words{"x", "`", "y", " ", "123", "45"}));
  EXPECT_EQ(split("deepseek-coder", "f (x)\r\n 12"),
            (Words{"f", " (", "x", ")", "\r", "\n", " ", "1", "2"}));
  EXPECT_EQ(split("deepseek-llm", "ab 12  "), (Words{"ab", " ", "12", "  "}));
  EXPECT_EQ(split("deepseek-v3", "東京12345"), (Words{"東京", "123", "45"}));
  EXPECT_EQ(split("bailingmoe", "a 12\n\nb"), (Words{"a", " ", "1", "2", "\n\n", "b"}));
  EXPECT_EQ(split("gemma4", "a b\n\nc"), (Words{"a b", "\n\n", "c"}));
}

TEST(PreTokenizer, MongolianVowelSeparatorIsNotWhiteSpace) {
  EXPECT_EQ(split("gpt-2", "a\u180e b\u2003\u2003c"),
            (Words{"a", "\u180e", " b", "\u2003", "\u2003", "c"}));
}

TEST(PreTokenizer, BytesThatAreNotUtf8AreWordsOfTheirOwn) {
  EXPECT_EQ(split("gpt-2", "ab\xFF\xFE\xC3 cd\xE2\x82"),
            (Words{"ab", "\xFF\xFE\xC3", " cd", "\xE2\x82"}));
}

TEST(PreTokenizer, LosesNothing) {
  const uint64_t seed = 20240504;
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (const patterns::Family& family : patterns::families()) {
    for (const std::string_view name : family.names) must_create_pre_tokenizer(name);
    const PreTokenizer pre_tokenizer = must_create_pre_tokenizer(family.names.front());
    for (int i = 0; i < 200; ++i) {
      const std::string text = random_text(random, 40);
      ASSERT_EQ(joined(pre_tokenizer.split(text)), text);
      const std::string bytes = random_bytes(random, 60);
      ASSERT_EQ(joined(pre_tokenizer.split(bytes)), bytes);
    }
  }
}

// Runs on which a careless pattern takes quadratic time: 200 KB would take minutes.
TEST(PreTokenizer, LongRunsDoNotHang) {
  std::vector<std::string> texts;
  for (const char* unit : {"a", "A", "aA", "我", " ", "\t", "\n", " \n", "!", "7", "'", "\u0301",
                           "/", "\u00a0", "a ", "\xFF"}) {
    std::string run;
    while (run.size() < 200000) run += unit;
    texts.push_back(run);
    texts.push_back(run + "x");
    texts.push_back(run + " !");
  }
  for (const patterns::Family& family : patterns::families()) {
    const PreTokenizer pre_tokenizer = must_create_pre_tokenizer(family.names.front());
    for (const std::string& text : texts) ASSERT_EQ(joined(pre_tokenizer.split(text)), text);
  }
}

TEST(PreTokenizer, AnUnknownNameListsTheKnownOnes) {
  const auto made = PreTokenizer::create("no-such\n");
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().kind, ErrorKind::unsupported);
  EXPECT_NE(made.error().message.find("'no-such\\x0a'"), std::string::npos);
  EXPECT_NE(made.error().message.find("llama-bpe"), std::string::npos);
  EXPECT_NE(made.error().message.find("deepseek-v3"), std::string::npos);
}

}  // namespace
}  // namespace octavo::text
