#include "text/special_tokens.h"

#include "text/support.h"

namespace octavo::text {
namespace {

const std::vector<std::string> chat_tokens = {"<|bos|>", "<|eos|>", "<|im_start|>", "<|im_end|>"};
constexpr int32_t bos = 256;
constexpr int32_t eos = 257;
constexpr int32_t im_start = 258;
constexpr int32_t im_end = 259;

MetadataBuilder chat() {
  MetadataBuilder builder = byte_level({}, chat_tokens);
  builder.set("bos_token_id", u32_value(bos)).set("eos_token_id", u32_value(eos));
  return builder;
}

TEST(SpecialTokens, AreParsedOnlyWhenAsked) {
  const auto tokenizer = must_create(chat().metadata());
  ASSERT_NE(tokenizer, nullptr);
  const std::string text = "<|im_start|>u<|im_end|>";
  EXPECT_EQ(ids_of(*tokenizer, text, {false, true}), (std::vector<int32_t>{im_start, 'u', im_end}));
  const std::vector<int32_t> plain = ids_of(*tokenizer, text, {false, false});
  EXPECT_EQ(plain.size(), text.size());
  for (const int32_t id : plain) EXPECT_FALSE(tokenizer->is_special(id));
  EXPECT_EQ(tokenizer->decode(plain), text);
}

TEST(SpecialTokens, AreShownOnlyWhenAsked) {
  const auto tokenizer = must_create(chat().metadata());
  ASSERT_NE(tokenizer, nullptr);
  const std::vector<int32_t> ids = {im_start, 'u', im_end};
  EXPECT_EQ(tokenizer->decode(ids), "u");
  EXPECT_EQ(tokenizer->decode(ids, true), "<|im_start|>u<|im_end|>");
}

TEST(SpecialTokens, TheLongestOneCounts) {
  const auto tokenizer = must_create(byte_level({}, {"<a", "<a>", "<a>>b"}).metadata());
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(ids_of(*tokenizer, "<<a>>c<ax", {false, true}),
            (std::vector<int32_t>{'<', 257, '>', 'c', 256, 'x'}));
}

TEST(SpecialTokens, UserDefinedOnesAreAlwaysFound) {
  MetadataBuilder builder = spm({{"\u2581", -1}, {"a", -1}, {"<think>", 0, 4}});
  const auto tokenizer = must_create(builder.metadata());
  ASSERT_NE(tokenizer, nullptr);
  const int32_t first = first_spm_token;
  EXPECT_EQ(ids_of(*tokenizer, "a<think>a"),
            (std::vector<int32_t>{first, first + 1, first + 2, first, first + 1}));
  EXPECT_FALSE(tokenizer->is_special(first + 2));
  EXPECT_EQ(tokenizer->decode(ids_of(*tokenizer, "a<think>a")), "a<think>a");
}

TEST(SpecialTokens, BosAndEosFollowTheMetadata) {
  struct Case {
    std::optional<bool> add_bos;
    std::optional<bool> add_eos;
    std::vector<int32_t> expected;
  };
  const std::vector<Case> cases = {
      {{}, {}, {'a'}},
      {true, {}, {bos, 'a'}},
      {true, true, {bos, 'a', eos}},
      {false, true, {'a', eos}},
  };
  for (const Case& each : cases) {
    MetadataBuilder builder = chat();
    if (each.add_bos) builder.set("add_bos_token", bool_value(*each.add_bos));
    if (each.add_eos) builder.set("add_eos_token", bool_value(*each.add_eos));
    const auto tokenizer = must_create(builder.metadata());
    ASSERT_NE(tokenizer, nullptr);
    EXPECT_EQ(tokenizer->encode("a"), each.expected);
    EXPECT_EQ(ids_of(*tokenizer, "a"), std::vector<int32_t>{'a'});
  }
}

TEST(SpecialTokens, DefaultsDependOnTheKind) {
  const auto llama2 = must_create(spm({{"\u2581", -1}}).metadata());
  ASSERT_NE(llama2, nullptr);
  EXPECT_EQ(llama2->bos(), 1);
  EXPECT_EQ(llama2->eos(), 2);
  EXPECT_EQ(llama2->special().unknown, 0);
  EXPECT_EQ(llama2->encode(""), std::vector<int32_t>{1});

  MetadataBuilder llama3 = byte_level({}, chat_tokens, "llama-bpe");
  llama3.set("bos_token_id", u32_value(bos));
  const auto with_bos = must_create(llama3.metadata());
  ASSERT_NE(with_bos, nullptr);
  EXPECT_EQ(with_bos->encode("a"), (std::vector<int32_t>{bos, 'a'}));

  const auto without_bos = must_create(byte_level({}, {}, "llama-bpe").metadata());
  ASSERT_NE(without_bos, nullptr);
  EXPECT_EQ(without_bos->bos(), std::nullopt);
  EXPECT_EQ(without_bos->encode("a"), std::vector<int32_t>{'a'});
}

TEST(SpecialTokens, EndOfGenerationIsKnownByKeyAndByText) {
  const auto tokenizer = must_create(chat().metadata());
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_TRUE(tokenizer->is_end_of_generation(eos));
  EXPECT_TRUE(tokenizer->is_end_of_generation(im_end));
  EXPECT_FALSE(tokenizer->is_end_of_generation(im_start));
  EXPECT_FALSE(tokenizer->is_end_of_generation(bos));
  EXPECT_FALSE(tokenizer->is_end_of_generation('a'));
  EXPECT_EQ(tokenizer->eot(), im_end);
}

TEST(SpecialTokens, ATurnsEndIsControlWhateverTheFileCallsIt) {
  MetadataBuilder builder =
      spm({{"<|im_end|>", -1, 1}, {"</s>x", -1, 1}, {"<eos>", -1, 1}, {"<end_of_turn>", -1, 4}});
  const auto tokenizer = must_create(builder.metadata());
  ASSERT_NE(tokenizer, nullptr);
  const int32_t first = first_spm_token;
  EXPECT_TRUE(tokenizer->is_end_of_generation(first));
  EXPECT_TRUE(tokenizer->is_special(first));
  // Mark-up that the file calls ordinary text stays text.
  EXPECT_FALSE(tokenizer->is_end_of_generation(first + 2));
  EXPECT_FALSE(tokenizer->is_special(first + 2));
  EXPECT_TRUE(tokenizer->is_end_of_generation(first + 3));
  EXPECT_TRUE(tokenizer->is_special(first + 3));
}

TEST(SpecialTokens, HarmonysEndIsNotTheTurnsEnd) {
  const auto tokenizer =
      must_create(byte_level({}, {"<|end|>", "<|return|>", "<|call|>"}).metadata());
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_FALSE(tokenizer->is_end_of_generation(256));
  EXPECT_TRUE(tokenizer->is_end_of_generation(257));
  EXPECT_TRUE(tokenizer->is_end_of_generation(258));
}

TEST(SpecialTokens, Phi3DropsSpaceAfterThem) {
  gguf::Metadata phi3("model.gguf");
  const MetadataBuilder base = byte_level({}, {"<|user|>", "<|endoftext|>"});
  for (const std::string& key : base.metadata().keys()) {
    ASSERT_TRUE(phi3.insert(key, *base.metadata().find(key)).ok());
  }
  ASSERT_TRUE(phi3.insert("general.name", string_value("Phi-3 mini")).ok());
  const auto tokenizer = must_create(phi3);
  const auto other = must_create(base.metadata());
  ASSERT_NE(tokenizer, nullptr);
  ASSERT_NE(other, nullptr);
  EXPECT_EQ(ids_of(*tokenizer, "<|user|>\n a", {false, true}), (std::vector<int32_t>{256, 'a'}));
  EXPECT_EQ(ids_of(*tokenizer, "<|endoftext|> a", {false, true}),
            (std::vector<int32_t>{257, ' ', 'a'}));
  EXPECT_EQ(ids_of(*other, "<|user|> a", {false, true}), (std::vector<int32_t>{256, ' ', 'a'}));
}

}  // namespace
}  // namespace octavo::text
