// Renders real chat templates and compares with what an independent Jinja implementation printed.
#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "text/jinja_limits.h"

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

}  // namespace
}  // namespace octavo::text
