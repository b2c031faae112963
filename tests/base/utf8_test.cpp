#include "base/utf8.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace octavo {
namespace {

TEST(Utf8, AcceptsEveryScalarValueAndNothingElse) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text;
    append_utf8(text, c);
    ASSERT_EQ(utf8_sequence_length(text), text.size());
    ASSERT_EQ(decode_utf8(text, text.size()), c);
    for (size_t cut = 1; cut < text.size(); ++cut) {
      ASSERT_EQ(utf8_sequence_length(text.substr(0, cut)), 0u);
      ASSERT_EQ(utf8_incomplete_suffix(text.substr(0, cut)), cut);
    }
    ASSERT_EQ(utf8_incomplete_suffix(text), 0u);
  }
}

TEST(Utf8, RefusesMalformedBytes) {
  for (const char* text :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xE2\x28\xA1"}) {
    EXPECT_EQ(utf8_sequence_length(text), 0u);
    EXPECT_EQ(utf8_incomplete_suffix(text), 0u);
  }
  EXPECT_EQ(utf8_incomplete_suffix("\xED\xA0"), 0u);  // would be a surrogate
}

TEST(Utf8, ReplacesAndPrints) {
  EXPECT_EQ(replace_invalid_utf8("a\xFF\xC3\xA9"), "a\xEF\xBF\xBD\xC3\xA9");
  std::string surrogate;
  append_utf8(surrogate, 0xD800);
  EXPECT_EQ(surrogate, "\xEF\xBF\xBD");
  EXPECT_EQ(printable("a\n\xFF\xC3\xA9"), "a\\x0a\\xff\xC3\xA9");
  EXPECT_EQ(printable("aaaaaa", 3), "aaa...");
}

}  // namespace
}  // namespace octavo
