// Renders real chat templates and compares with what an independent Jinja implementation printed.
#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

namespace octavo::text {
namespace {

using Json = nlohmann::ordered_json;

std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::tm test_date() {
  std::tm date = {};
  date.tm_year = 2024 - 1900;
  date.tm_mon = 6;
  date.tm_mday = 26;
  date.tm_wday = 5;
  date.tm_yday = 207;
  return date;
}

ChatTemplateInput to_input(const Json& conversation) {
  ChatTemplateInput input;
  input.messages = conversation["messages"];
  if (conversation.contains("tools")) input.tools = conversation["tools"];
  input.add_generation_prompt = conversation["add_generation_prompt"].get<bool>();
  input.bos_token = "<s>";
  input.eos_token = "</s>";
  input.date = test_date();
  return input;
}

TEST(ChatTemplate, RendersRealTemplatesAsExpected) {
  const std::filesystem::path folder = std::filesystem::path(OCTAVO_SHARED_DATA) / "chat-templates";
  if (!std::filesystem::exists(folder / "expected.json")) {
    GTEST_SKIP() << "no chat templates in " << folder;
  }
  const Json data = Json::parse(read_text(folder / "expected.json"));
  size_t rendered = 0;
  for (const auto& [name, cases] : data["expected"].items()) {
    auto parsed = ChatTemplate::parse(read_text(folder / name));
    ASSERT_TRUE(parsed.ok()) << name << ": " << parsed.error().message;
    for (const auto& [case_name, expected] : cases.items()) {
      const auto text = parsed->render(to_input(data["cases"][case_name]));
      ++rendered;
      if (!text.ok()) {
        ADD_FAILURE() << name << ", " << case_name << ": " << text.error().message;
      } else {
        EXPECT_EQ(*text, expected.get<std::string>()) << name << ", " << case_name;
      }
    }
  }
  EXPECT_GT(rendered, 100u);
}

ChatTemplateInput greeting() {
  ChatTemplateInput input;
  input.messages = Json::parse(R"([{"role": "user", "content": "Hello"}])");
  input.date = test_date();
  return input;
}

TEST(ChatTemplate, DefaultIsChatMl) {
  ChatTemplateInput input = greeting();
  const std::string user = "<|im_start|>user\nHello<|im_end|>\n";
  EXPECT_EQ(*default_template().render(input), user + "<|im_start|>assistant\n");
  input.add_generation_prompt = false;
  EXPECT_EQ(*default_template().render(input), user);
}

TEST(ChatTemplate, ExtraVariablesWin) {
  const auto parsed = ChatTemplate::parse("{{ bos_token }}{{ enable_thinking }}{{ tools }}");
  ASSERT_TRUE(parsed.ok());
  ChatTemplateInput input = greeting();
  input.bos_token = "<s>";
  EXPECT_EQ(*parsed->render(input), "<s>None");
  input.extra = Json::parse(R"({"enable_thinking": false, "bos_token": "<b>"})");
  EXPECT_EQ(*parsed->render(input), "<b>FalseNone");
}

TEST(ChatTemplate, KeepsMessagesAsTheyAre) {
  ChatTemplateInput input = greeting();
  const auto parsed = ChatTemplate::parse("{{ messages[0].content }}");
  ASSERT_TRUE(parsed.ok());
  // Tags, escapes and markup in a message are text; broken UTF-8 becomes U+FFFD.
  input.messages[0]["content"] = "{{ x }} {% if %} <b>&amp;</b> \\n\n";
  EXPECT_EQ(*parsed->render(input), "{{ x }} {% if %} <b>&amp;</b> \\n\n");
  input.messages[0]["content"] = "a\xff";
  EXPECT_EQ(*parsed->render(input), "a\xef\xbf\xbd");
  input.messages[0]["content"] = Json::parse("18446744073709551615");
  EXPECT_EQ(*parsed->render(input), "1.8446744073709552e+19");
}

TEST(ChatTemplate, RendersOnManyThreadsAtOnce) {
  const auto parsed = ChatTemplate::parse(
      "{% macro m(x) %}{{ x }}{{ caller() }}{% endmacro %}{% set ns = namespace(n=0) %}"
      "{% for i in range(50) %}{% call m(i) %},{% endcall %}{% set ns.n = ns.n + i %}{% endfor %}"
      "{{ ns.n }}{{ messages|tojson }}");
  ASSERT_TRUE(parsed.ok());
  const ChatTemplateInput input = greeting();
  const std::string expected = *parsed->render(input);
  EXPECT_NE(expected.find("1225[{\"role\": \"user\""), std::string::npos) << expected;
  std::vector<std::string> texts(8);
  std::vector<std::thread> threads;
  for (std::string& text : texts) {
    threads.emplace_back([&parsed, &input, &text] {
      for (int round = 0; round < 20; ++round) text = *parsed->render(input);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& text : texts) EXPECT_EQ(text, expected);
}

}  // namespace
}  // namespace octavo::text
