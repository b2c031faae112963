#include "cli/line_assembler.h"

#include <gtest/gtest.h>

namespace octavo::cli {
namespace {

TEST(LineAssembler, ALineIsAMessage) {
  LineAssembler lines;
  EXPECT_EQ(lines.feed("hello"), "hello");
  EXPECT_EQ(lines.feed(""), "");
  EXPECT_FALSE(lines.in_progress());
}

TEST(LineAssembler, ABackslashGoesOnInTheNextLine) {
  LineAssembler lines;
  EXPECT_EQ(lines.feed("one\\"), std::nullopt);
  EXPECT_TRUE(lines.in_progress());
  EXPECT_EQ(lines.feed("two\\"), std::nullopt);
  EXPECT_EQ(lines.feed("three"), "one\ntwo\nthree");
  EXPECT_FALSE(lines.in_progress());
}

TEST(LineAssembler, ABlockIsTakenAsItIs) {
  LineAssembler lines;
  EXPECT_EQ(lines.feed("\"\"\""), std::nullopt);
  EXPECT_EQ(lines.feed("/clear"), std::nullopt);
  EXPECT_EQ(lines.feed(""), std::nullopt);
  EXPECT_EQ(lines.feed("ends in \\"), std::nullopt);
  EXPECT_EQ(lines.feed("\"\"\""), "/clear\n\nends in \\");
}

TEST(LineAssembler, ClearAndTakeEndAMessageInProgress) {
  LineAssembler lines;
  lines.feed("lost\\");
  lines.clear();
  EXPECT_FALSE(lines.in_progress());
  EXPECT_EQ(lines.feed("next"), "next");
  lines.feed("kept\\");
  EXPECT_EQ(lines.take(), "kept");
  EXPECT_FALSE(lines.in_progress());
}

}  // namespace
}  // namespace octavo::cli
