#include "cli/prompts_file.h"

#include <gtest/gtest.h>

#include <random>

#include "base/utf8.h"

namespace octavo::cli {
namespace {

std::string error_of(std::string_view content) {
  const auto prompts = parse_prompts("f", content, {});
  return prompts.ok() ? "no error" : prompts.error().message;
}

TEST(PromptsFile, TakesAPromptALine) {
  Prompt defaults;
  defaults.outputs = 3;
  defaults.sampling.top_k = 5;
  const auto prompts = parse_prompts("f", "one\r\n\n  two {\"x\"} \n \t\nthree", defaults);
  ASSERT_TRUE(prompts.ok()) << prompts.error().message;
  ASSERT_EQ(prompts->size(), 3u);
  EXPECT_EQ((*prompts)[0].text, "one");
  EXPECT_EQ((*prompts)[1].text, "  two {\"x\"} ");
  EXPECT_EQ((*prompts)[2].text, "three");
  EXPECT_EQ((*prompts)[2].outputs, 3);
  EXPECT_EQ((*prompts)[2].sampling.top_k, 5);
}

TEST(PromptsFile, TakesJsonLines) {
  Prompt defaults;
  defaults.sampling.top_k = 5;
  const auto prompts = parse_prompts("f",
                                     "\n {\"prompt\": \"a\\nb\", \"n\": 2, \"top_k\": 9}\r\n"
                                     "{\"messages\": [{\"role\": \"user\", \"content\": \"c\"}]}\n",
                                     defaults);
  ASSERT_TRUE(prompts.ok()) << prompts.error().message;
  ASSERT_EQ(prompts->size(), 2u);
  EXPECT_EQ((*prompts)[0].text, "a\nb");
  EXPECT_EQ((*prompts)[0].outputs, 2);
  EXPECT_EQ((*prompts)[0].sampling.top_k, 9);
  EXPECT_EQ((*prompts)[1].messages.at(0).content, "c");
  EXPECT_EQ((*prompts)[1].outputs, 1);
  EXPECT_EQ((*prompts)[1].sampling.top_k, 5);
}

TEST(PromptsFile, TakesBeamSearches) {
  const auto prompts =
      parse_prompts("f", "{\"prompt\": \"a\", \"beam_width\": 3}\n{\"prompt\": \"a\"}\n", Prompt{});
  ASSERT_TRUE(prompts.ok()) << prompts.error().message;
  EXPECT_EQ((*prompts)[0].beam.value().width, 3);
  EXPECT_FALSE((*prompts)[1].beam);
}

TEST(PromptsFile, ErrorsNameTheLineAndTheField) {
  EXPECT_EQ(error_of(""), "f: no prompts");
  EXPECT_EQ(error_of("\n \n"), "f: no prompts");
  EXPECT_EQ(error_of("a\n\xFF\n"), "f:2: not UTF-8");
  EXPECT_EQ(error_of("{\"prompt\": \"a\"}\n\nb"), "f:3: not a JSON object");
  EXPECT_EQ(error_of("{\"prompt\": \"a\""), "f:1: not a JSON object");
  EXPECT_EQ(error_of("{}"), "f:1: 'prompt' or 'messages' expected, and not both");
  EXPECT_EQ(error_of("{\"prompt\": \"a\", \"messages\": []}"),
            "f:1: 'prompt' or 'messages' expected, and not both");
  EXPECT_EQ(error_of("{\"prompt\": 1}"), "f:1: prompt: a string expected");
  EXPECT_EQ(error_of("{\"messages\": []}"),
            "f:1: messages: a list of at least one message expected");
  EXPECT_EQ(error_of("{\"prompt\": \"a\", \"topk\": 1}"), "f:1: unknown field 'topk'");
  EXPECT_EQ(error_of("{\"prompt\": \"a\", \"top_p\": 2}"), "f:1: top_p: 2 is not in (0, 1]");
  for (const char* n : {"0", "129", "-1", "99999999999999999999"}) {
    EXPECT_NE(error_of(std::string("{\"prompt\": \"a\", \"n\": ") + n + "}"), "no error") << n;
  }
  EXPECT_EQ(error_of("{\"prompt\": \"a\", \"n\": 129}"), "f:1: n: 129 is not between 1 and 128");
  EXPECT_EQ(error_of("{\"prompt\": \"a\", \"n\": \"2\"}"), "f:1: n: an integer expected");
  EXPECT_EQ(error_of("{\"prompt\": " + std::string(100'000, '[')),
            "f:1: JSON that is nested too deeply");
}

// Whatever is in the file: prompts that are UTF-8, or one line that says where.
TEST(PromptsFile, SurvivesDamage) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  const std::string good =
      "{\"prompt\": \"a\", \"n\": 2, \"logit_bias\": {\"1\": 2.5}, \"stop\": [\"x\"]}\n"
      "{\"messages\": [{\"role\": \"user\", \"content\": \"\xC3\xA9\"}], \"seed\": 7}\n";
  const std::string alphabet = "{}[]\",:\\\n0123456789-+eE.ntf\xFF\xC3 ";
  for (int trial = 0; trial < 5000; ++trial) {
    std::string content = good;
    for (uint64_t change = random() % 6; change > 0; --change) {
      const size_t at = random() % content.size();
      const char byte = alphabet[random() % alphabet.size()];
      if (random() % 3 == 0) {
        content.erase(at, random() % 5 + 1);
      } else if (random() % 2 == 0) {
        content[at] = byte;
      } else {
        content.insert(at, 1, byte);
      }
      if (content.empty()) break;
    }
    const auto prompts = parse_prompts("f", content, {});
    if (!prompts.ok()) {
      EXPECT_EQ(prompts.error().message.find('\n'), std::string::npos);
      EXPECT_EQ(prompts.error().message.substr(0, 2), "f:");
      EXPECT_EQ(replace_invalid_utf8(prompts.error().message), prompts.error().message);
      continue;
    }
    for (const Prompt& prompt : *prompts) {
      EXPECT_EQ(replace_invalid_utf8(prompt.text), prompt.text);
      EXPECT_GE(prompt.outputs, 1);
      EXPECT_LE(prompt.outputs, 128);
    }
  }
}

}  // namespace
}  // namespace octavo::cli
