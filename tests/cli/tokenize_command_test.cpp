#include <nlohmann/json.hpp>

#include "cli/tokenize.h"
#include "text/support.h"

namespace octavo::cli {
namespace {

TEST(TokenizeCommand, PrintsTheThreeFormats) {
  const auto tokenizer = text::must_create(text::byte_level({"h i"}, {"<|im_end|>"}).metadata());
  ASSERT_NE(tokenizer, nullptr);
  const std::vector<int32_t> ids = tokenizer->encode("hi\"\n\x01\u00e9<|im_end|>", {false, true});
  EXPECT_EQ(format_tokens(*tokenizer, ids, TokenFormat::ids), "256 34 10 1 195 169 257\n");
  EXPECT_EQ(format_tokens(*tokenizer, ids, TokenFormat::table),
            "     256  \"hi\"\n"
            "      34  \"\\\"\"\n"
            "      10  \"\\n\"\n"
            "       1  \"\\x01\"\n"
            "     195  \"\\xc3\"\n"
            "     169  \"\\xa9\"\n"
            "     257  \"<|im_end|>\"  special\n"
            "7 tokens\n");
  const auto json = nlohmann::json::parse(format_tokens(*tokenizer, ids, TokenFormat::json));
  EXPECT_EQ(json["count"], 7);
  EXPECT_EQ(json["tokens"][0], (nlohmann::json{{"id", 256}, {"piece", "hi"}, {"special", false}}));
  EXPECT_EQ(json["tokens"][4]["piece"], "\uFFFD");
  EXPECT_EQ(json["tokens"][4]["bytes"], std::vector<int>{0xC3});
  EXPECT_EQ(json["tokens"][6]["special"], true);
}

}  // namespace
}  // namespace octavo::cli
