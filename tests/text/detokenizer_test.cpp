#include "text/detokenizer.h"

#include "text/support.h"

namespace octavo::text {
namespace {

bool is_utf8(std::string_view text) {
  return replace_invalid_utf8(text) == text && text.find("\xEF\xBF\xBD") == std::string_view::npos;
}

TEST(Detokenizer, HoldsBackHalfACharacter) {
  const auto tokenizer = must_create(byte_level({}, {"<|im_end|>"}).metadata());
  ASSERT_NE(tokenizer, nullptr);
  Detokenizer detokenizer(*tokenizer);
  EXPECT_EQ(detokenizer.push('a'), "a");
  EXPECT_EQ(detokenizer.push(0xF0), "");
  EXPECT_EQ(detokenizer.push(0x9F), "");
  EXPECT_EQ(detokenizer.push(0x99), "");
  EXPECT_EQ(detokenizer.push(0x82), "\U0001F642");
  EXPECT_EQ(detokenizer.push(256), "");
  EXPECT_EQ(detokenizer.flush(), "");
}

TEST(Detokenizer, BrokenBytesComeOutReplaced) {
  const auto tokenizer = must_create(byte_level({}).metadata());
  ASSERT_NE(tokenizer, nullptr);
  Detokenizer detokenizer(*tokenizer);
  EXPECT_EQ(detokenizer.push(0xFF), "\uFFFD");
  EXPECT_EQ(detokenizer.push(0xC3), "");
  EXPECT_EQ(detokenizer.push('a'), "\uFFFDa");
  EXPECT_EQ(detokenizer.push(0xE2), "");
  EXPECT_EQ(detokenizer.push(0x82), "");
  EXPECT_EQ(detokenizer.flush(), "\uFFFD\uFFFD");
  EXPECT_EQ(detokenizer.push('b'), "b");
}

TEST(Detokenizer, SpecialTokensAreShownOnlyWhenAsked) {
  const auto tokenizer = must_create(byte_level({}, {"<|im_end|>"}).metadata());
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(Detokenizer(*tokenizer).push(256), "");
  EXPECT_EQ(Detokenizer(*tokenizer, true).push(256), "<|im_end|>");
}

TEST(Detokenizer, AnyBytesGiveWholeCharactersAndNothingIsLost) {
  const uint64_t seed = 20240509;
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  const auto tokenizer = must_create(byte_level({"\u00e6 \u012a", "h e"}).metadata());
  ASSERT_NE(tokenizer, nullptr);
  for (int i = 0; i < 2000; ++i) {
    const bool text = i % 2 == 0;
    const std::string bytes = text ? random_text(random, 20) : random_bytes(random, 40);
    Detokenizer detokenizer(*tokenizer);
    std::string out;
    for (const int32_t id : ids_of(*tokenizer, bytes)) {
      const std::string part = detokenizer.push(id);
      ASSERT_EQ(replace_invalid_utf8(part), part);
      ASSERT_TRUE(!text || is_utf8(part) || bytes.find("\uFFFD") != std::string::npos);
      out += part;
    }
    out += detokenizer.flush();
    ASSERT_EQ(out, replace_invalid_utf8(bytes));
  }
}

}  // namespace
}  // namespace octavo::text
