#include "cli/line_assembler.h"

#include <gtest/gtest.h>

#include <vector>

namespace octavo::cli {
namespace {

// The messages that come of these lines.
std::vector<std::string> messages(const std::vector<std::string>& lines) {
  LineAssembler assembler;
  std::vector<std::string> out;
  for (const std::string& line : lines) {
    if (const auto message = assembler.feed(line)) {
      EXPECT_FALSE(assembler.in_progress());
      out.push_back(*message);
    } else {
      EXPECT_TRUE(assembler.in_progress());
    }
  }
  return out;
}

using Lines = std::vector<std::string>;

TEST(LineAssembler, ALineIsAMessage) {
  EXPECT_EQ(messages({"a", "", "b \\ c"}), (Lines{"a", "", "b \\ c"}));
}

TEST(LineAssembler, ABackslashContinues) {
  EXPECT_EQ(messages({"a\\", "b \\", "", "c"}), (Lines{"a\nb \n", "c"}));
  EXPECT_EQ(messages({"\\", "a"}), (Lines{"\na"}));
}

TEST(LineAssembler, ABlockIsTakenAsItIs) {
  EXPECT_EQ(messages({"\"\"\"", "a", "", "b\\", "/exit", " \"\"\" ", "c"}),
            (Lines{"a\n\nb\\\n/exit", "c"}));
  EXPECT_EQ(messages({"\"\"\"", "\"\"\""}), (Lines{""}));
}

TEST(LineAssembler, AMarkWithinALineIsText) {
  EXPECT_EQ(messages({"\"\"\"a", "say \"\"\""}), (Lines{"\"\"\"a", "say \"\"\""}));
  EXPECT_EQ(messages({"a\\", "\"\"\""}), (Lines{"a\n\"\"\""}));
}

TEST(LineAssembler, ClearForgetsTheMessageInProgress) {
  LineAssembler assembler;
  EXPECT_FALSE(assembler.feed("\"\"\""));
  EXPECT_FALSE(assembler.feed("lost"));
  assembler.clear();
  EXPECT_FALSE(assembler.in_progress());
  EXPECT_EQ(assembler.feed("kept"), "kept");
}

}  // namespace
}  // namespace octavo::cli
