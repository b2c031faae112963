#include "text/tokenizer.h"

#include <set>
#include <thread>

#include "text/support.h"

namespace octavo::text {
namespace {

TEST(ByteLevel, MergesInTheListsOrder) {
  const auto tokenizer = must_create(byte_level({"b c", "a b", "ab c", "\u0120 a"}).metadata());
  ASSERT_NE(tokenizer, nullptr);
  const std::vector<int32_t> ids = ids_of(*tokenizer, "abc ab");
  ASSERT_EQ(ids.size(), 4u);
  EXPECT_EQ(tokenizer->piece(ids[0]), "a");  // "b c" comes before "a b"
  EXPECT_EQ(tokenizer->piece(ids[1]), "bc");
  EXPECT_EQ(tokenizer->piece(ids[2]), " ");  // "a b" comes before "\u0120 a"
  EXPECT_EQ(tokenizer->piece(ids[3]), "ab");
  EXPECT_EQ(tokenizer->token_text(ids[2]), "\u0120");
  EXPECT_EQ(tokenizer->find_token("ab"), ids[3]);
  EXPECT_EQ(tokenizer->find_token("abcd"), std::nullopt);
}

TEST(ByteLevel, AnyBytesComeBack) {
  const uint64_t seed = 20240505;
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  const auto tokenizer = must_create(byte_level({"\u0120 t", "h e", "\u0120t he"}).metadata());
  ASSERT_NE(tokenizer, nullptr);
  for (int i = 0; i < 2000; ++i) {
    const std::string bytes = random_bytes(random, 200);
    ASSERT_EQ(tokenizer->decode(ids_of(*tokenizer, bytes)), bytes);
  }
}

TEST(ByteLevel, AByteWithoutATokenIsReplaced) {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 255; ++byte) {
    tokens.emplace_back(alphabet_character(static_cast<uint8_t>(byte)));
  }
  MetadataBuilder builder;
  builder.set("model", string_value("gpt2"))
      .set("tokens", strings_value(tokens))
      .set("merges", strings_value({}));
  const auto tokenizer = must_create(builder.metadata());
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->decode(ids_of(*tokenizer, "a\xFF\xFE")), "a\uFFFD\xFE");
}

TEST(ByteLevel, AWholeWordGoesBeforeMergesWhereTheModelSaysSo) {
  // "abc" can not be made by the merges, which give a bc.
  const std::vector<std::string> merges = {"b c", "a b", "ab c"};
  const auto with = must_create(byte_level(merges, {}, "llama-bpe").metadata());
  const auto without = must_create(byte_level(merges, {}, "dbrx").metadata());
  ASSERT_NE(with, nullptr);
  ASSERT_NE(without, nullptr);
  EXPECT_EQ(ids_of(*with, "abc"), std::vector<int32_t>{*with->find_token("abc")});
  EXPECT_EQ(ids_of(*without, "abc").size(), 2u);
}

TEST(Spm, MergesByScoreAndFallsBackToBytes) {
  const auto tokenizer = must_create(
      spm({{"\u2581", -9}, {"a", -9}, {"b", -9}, {"ab", -2}, {"\u2581a", -1}, {"c", -9}})
          .metadata());
  ASSERT_NE(tokenizer, nullptr);
  const int32_t first = first_spm_token;
  // "▁a" has the higher score than "ab", and é is its two bytes.
  EXPECT_EQ(ids_of(*tokenizer, "ab"), (std::vector<int32_t>{first + 4, first + 2}));
  EXPECT_EQ(ids_of(*tokenizer, "cab\u00e9"),
            (std::vector<int32_t>{first, first + 5, first + 3, 3 + 0xC3, 3 + 0xA9}));
  EXPECT_EQ(ids_of(*tokenizer, ""), std::vector<int32_t>{});
  EXPECT_EQ(tokenizer->decode(ids_of(*tokenizer, " cab\u00e9 \n")), " cab\u00e9 \n");
  EXPECT_EQ(tokenizer->piece(first + 4), " a");
  EXPECT_EQ(tokenizer->piece(3 + '\n'), "\n");
}

TEST(Spm, SpacePrefixIsTheFilesChoice) {
  MetadataBuilder builder = spm({{"\u2581", -9}, {"a", -9}, {"\u2581a", -1}});
  builder.set("add_space_prefix", bool_value(false));
  const auto tokenizer = must_create(builder.metadata());
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(ids_of(*tokenizer, "a"), std::vector<int32_t>{first_spm_token + 1});
  EXPECT_EQ(tokenizer->decode(ids_of(*tokenizer, " a")), " a");
}

TEST(Spm, OrdinaryTextNeverBecomesAControlToken) {
  const auto tokenizer = must_create(
      spm({{"\u2581", -9}, {"<", -9}, {"s", -9}, {">", -9}, {"<s", -1}, {"s>", -2}}).metadata());
  ASSERT_NE(tokenizer, nullptr);
  for (const int32_t id : ids_of(*tokenizer, "<s>")) EXPECT_FALSE(tokenizer->is_special(id));
}

TEST(Spm, WithoutByteTokensTheUnknownTokenStandsIn) {
  MetadataBuilder builder;
  builder.set("model", string_value("llama"))
      .set("tokens", strings_value({"<unk>", "<s>", "</s>", "\u2581", "a"}))
      .set("scores", f32s_value({0, 0, 0, -1, -2}))
      .set("token_type", i32s_value({2, 3, 3, 1, 1}));
  const auto tokenizer = must_create(builder.metadata());
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(ids_of(*tokenizer, "a\u00e9"), (std::vector<int32_t>{3, 4, 0}));
}

TEST(Gemma4, MergesCharactersOverWholeLines) {
  MetadataBuilder builder;
  builder.set("model", string_value("gemma4"))
      .set("tokens", strings_value({"<pad>", "<eos>", "<bos>", "a", "b", "\u2581", "\u2581b",
                                    "a\u2581b", "\n", "\n\n", "<0xC3>", "<0xA9>"}))
      .set("token_type", i32s_value({3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 6, 6}))
      .set("merges", strings_value({"\u2581 b", "a \u2581b"}))
      .set("bos_token_id", u32_value(2))
      .set("eos_token_id", u32_value(1));
  const auto tokenizer = must_create(builder.metadata());
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->encode("a b\n\nb\u00e9"), (std::vector<int32_t>{2, 7, 9, 4, 10, 11}));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("a b\n\nb\u00e9")), "a b\n\nb\u00e9");
}

// The bytes that a vocabulary has no token for: Falcon's lacks some that begin characters of the
// empty planes, and many lack those that UTF-8 never has.
std::set<uint8_t> missing_bytes(const gguf::Metadata& metadata) {
  const std::vector<std::string>& tokens = **metadata.strings("tokenizer.ggml.tokens");
  const std::vector<int32_t> types = *metadata.i32s("tokenizer.ggml.token_type");
  std::set<std::string> known;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (types[i] == 1) known.insert(tokens[i]);
  }
  std::set<uint8_t> missing;
  for (int byte = 0; byte < 256; ++byte) {
    const auto value = static_cast<uint8_t>(byte);
    if (known.count(std::string(alphabet_character(value))) == 0) missing.insert(value);
  }
  return missing;
}

// `text` with U+FFFD for each character that has a missing byte.
std::string with_known_bytes(const std::set<uint8_t>& missing, std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t length = std::max<size_t>(1, utf8_sequence_length(text));
    const std::string_view character = text.substr(0, length);
    const bool spelled = std::none_of(character.begin(), character.end(), [&missing](char c) {
      return missing.count(static_cast<uint8_t>(c)) > 0;
    });
    out += spelled ? character : std::string_view("\xEF\xBF\xBD");
    text.remove_prefix(length);
  }
  return out;
}

class ByteLevelVocabularies : public testing::TestWithParam<const char*> {};

TEST_P(ByteLevelVocabularies, DecodeGivesBackWhatWasEncoded) {
  const SharedVocabulary shared = open_shared_vocabulary(GetParam());
  OCTAVO_REQUIRE_VOCABULARY(shared, GetParam());
  const uint64_t seed = 20240506;
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  const std::set<uint8_t> missing = missing_bytes(shared.file->metadata());
  for (int i = 0; i < 11000; ++i) {
    const bool any_bytes = i % 11 == 0;
    const std::string text = any_bytes ? random_bytes(random, 100) : random_text(random, 30);
    const std::string expected = with_known_bytes(missing, text);
    ASSERT_EQ(shared.tokenizer->decode(ids_of(*shared.tokenizer, text)), expected);
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, ByteLevelVocabularies,
                         testing::Values("llama-bpe", "qwen2", "gpt-2", "falcon",
                                         "deepseek-coder"));

std::string with_plain_spaces(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const bool is_space = text.substr(0, visible_space.size()) == visible_space;
    out += is_space ? ' ' : text[0];
    text.remove_prefix(is_space ? visible_space.size() : 1);
  }
  return out;
}

class SpmVocabularies : public testing::TestWithParam<const char*> {};

TEST_P(SpmVocabularies, DecodeGivesBackWhatWasEncodedWithPlainSpaces) {
  const SharedVocabulary shared = open_shared_vocabulary(GetParam());
  OCTAVO_REQUIRE_VOCABULARY(shared, GetParam());
  const uint64_t seed = 20240507;
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 10000; ++i) {
    const bool any_bytes = i % 10 == 0;
    const std::string text = any_bytes ? random_bytes(random, 100) : random_text(random, 30);
    const std::string expected = with_plain_spaces(text);
    ASSERT_EQ(shared.tokenizer->decode(ids_of(*shared.tokenizer, text)), expected);
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, SpmVocabularies, testing::Values("llama-spm", "phi-3"));

class AllVocabularies : public testing::TestWithParam<const char*> {};

// Quadratic merging would take minutes.
TEST_P(AllVocabularies, ALongWordDoesNotHang) {
  const SharedVocabulary shared = open_shared_vocabulary(GetParam());
  OCTAVO_REQUIRE_VOCABULARY(shared, GetParam());
  std::mt19937_64 random(1);
  std::uniform_int_distribution<int> letter('a', 'z');
  std::string letters(100000, 'a');
  for (char& c : letters) c = static_cast<char>(letter(random));
  for (const std::string& word : {std::string(100000, 'a'), letters, std::string(100000, '<')}) {
    EXPECT_EQ(shared.tokenizer->decode(ids_of(*shared.tokenizer, word)), word);
  }
}

TEST_P(AllVocabularies, ThreadsMayShareOne) {
  const SharedVocabulary shared = open_shared_vocabulary(GetParam());
  OCTAVO_REQUIRE_VOCABULARY(shared, GetParam());
  const std::string text = "One tokenizer, 3 threads: the same ids.\n";
  const std::vector<int32_t> expected = ids_of(*shared.tokenizer, text);
  std::vector<std::thread> threads;
  std::vector<int> wrong(3, 0);
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        if (ids_of(*shared.tokenizer, text) != expected) ++wrong[t];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(3, 0));
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, AllVocabularies,
                         testing::Values("llama-spm", "llama-bpe", "phi-3", "qwen2", "gpt-2",
                                         "falcon", "deepseek-coder"));

}  // namespace
}  // namespace octavo::text
