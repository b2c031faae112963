#include "cli/prompts_file.h"

#include <gtest/gtest.h>

#include <random>

namespace octavo::cli {
namespace {

std::vector<Prompt> parse(std::string_view content, const Prompt& defaults = {}) {
  auto prompts = parse_prompts("file", content, defaults);
  EXPECT_TRUE(prompts.ok()) << prompts.error().message;
  return prompts ? *prompts : std::vector<Prompt>();
}

std::string error_of(std::string_view content) {
  const auto prompts = parse_prompts("file", content, {});
  return prompts ? "" : prompts.error().message;
}

TEST(PromptsFile, PlainLines) {
  const auto prompts = parse("one\r\n\n  two {x}\nthree");
  ASSERT_EQ(prompts.size(), 3u);
  EXPECT_EQ(prompts[0].text, "one");
  EXPECT_EQ(prompts[2].text, "three");
  EXPECT_EQ(error_of(""), "file: no prompts");
  EXPECT_EQ(error_of("\n \n"), "file: no prompts");
}

TEST(PromptsFile, JsonLinesOverrideTheDefaults) {
  Prompt defaults;
  defaults.sampling.temperature = 0.5F;
  defaults.sampling.max_tokens = 7;
  const auto prompts =
      parse(R"({"prompt": "one", "temperature": 0, "n": 3, "stop": "x", "logit_bias": {"5": -1.5}})"
            "\n\n"
            R"({"messages": [{"role": "user", "content": "hi"}], "seed": 18446744073709551615})",
            defaults);
  ASSERT_EQ(prompts.size(), 2u);
  EXPECT_EQ(prompts[0].text, "one");
  EXPECT_EQ(prompts[0].outputs, 3);
  EXPECT_EQ(prompts[0].sampling.temperature, 0.0F);
  EXPECT_EQ(prompts[0].sampling.max_tokens, 7);
  EXPECT_EQ(prompts[0].sampling.stop, std::vector<std::string>{"x"});
  ASSERT_EQ(prompts[0].sampling.logit_bias.size(), 1u);
  EXPECT_EQ(prompts[0].sampling.logit_bias[0].token, 5);
  EXPECT_EQ(prompts[1].sampling.temperature, 0.5F);
  EXPECT_EQ(prompts[1].sampling.seed, 18446744073709551615u);
  ASSERT_EQ(prompts[1].messages.size(), 1u);
  EXPECT_EQ(prompts[1].messages[0].content, "hi");
}

TEST(PromptsFile, ErrorsNameTheLineAndTheField) {
  struct Case {
    const char* line;
    const char* field;
  };
  for (const Case& c :
       std::initializer_list<Case>{{R"({"prompt": 5})", "prompt"},
                                   {R"({"temperature": 1})", "prompt"},
                                   {R"({"prompt": "a", "messages": []})", "messages"},
                                   {R"({"messages": [{"role": "user"}]})", "messages"},
                                   {R"({"prompt": "a", "temprature": 1})", "temprature"},
                                   {R"({"prompt": "a", "temperature": "hot"})", "temperature"},
                                   {R"({"prompt": "a", "temperature": -1})", "temperature"},
                                   {R"({"prompt": "a", "top_k": 1.5})", "top_k"},
                                   {R"({"prompt": "a", "top_k": 99999999999})", "top_k"},
                                   {R"({"prompt": "a", "seed": -1})", "seed"},
                                   {R"({"prompt": "a", "n": 0})", "n"},
                                   {R"({"prompt": "a", "stop": [1]})", "stop"},
                                   {R"({"prompt": "a", "logit_bias": {"x": 1}})", "logit_bias"},
                                   {R"({"prompt": "a", "ignore_eos": 1})", "ignore_eos"}}) {
    const std::string error = error_of(std::string("{\"prompt\": \"fine\"}\n") + c.line);
    EXPECT_TRUE(error.starts_with("file:2: ")) << c.line << ": " << error;
    EXPECT_NE(error.find(c.field), std::string::npos) << c.line << ": " << error;
    EXPECT_EQ(error.find('\n'), std::string::npos) << error;
  }
  EXPECT_TRUE(error_of("{\"prompt\": \"a\"}\nnot json").starts_with("file:2: "));
  EXPECT_TRUE(error_of("{\"prompt\": \"a\"").starts_with("file:1: "));
  EXPECT_TRUE(error_of("{" + std::string(100'000, '[')).starts_with("file:1: "));
  EXPECT_TRUE(error_of("{\"prompt\": \"\xFF\"}").starts_with("file:1: "));
}

TEST(PromptsFile, MutatedLinesNeverCrash) {
  const std::string line =
      R"({"prompt": "one \u00e9", "temperature": 0.5, "stop": ["a", "b"], "n": 2, "seed": 1})";
  constexpr uint32_t kSeed = 11;
  std::mt19937 random(kSeed);
  for (int i = 0; i < 5000; ++i) {
    std::string mutated = line;
    for (uint32_t k = random() % 4 + 1; k > 0; --k) {
      mutated[random() % mutated.size()] = static_cast<char>(random() % 256);
    }
    const auto prompts = parse_prompts("file", mutated, {});
    if (!prompts) {
      EXPECT_TRUE(prompts.error().message.starts_with("file:")) << kSeed;
    }
  }
}

}  // namespace
}  // namespace octavo::cli
