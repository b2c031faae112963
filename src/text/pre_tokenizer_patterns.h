// The pre-tokenizers by name, and their patterns: data for text/pre_tokenizer.cpp only.
//
// \s of the originals is written [\t-\r\x{85}\p{Z}], Unicode's White_Space, because PCRE2's \s also
// holds U+180E. (?i:'s) is written '[sS], which matches the same ASCII letters and not U+017F.
#pragma once

#include <string_view>
#include <vector>

namespace octavo::text::patterns {

#define OCTAVO_SPACE "\\t-\\r\\x{85}\\p{Z}"  // to be put inside brackets
#define OCTAVO_CONTRACTION "'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])"
// White space: a run up to a line break, then a run without its last character when text follows.
#define OCTAVO_LINE_BREAKS "[" OCTAVO_SPACE "]*[\\r\\n]+"
#define OCTAVO_SPACES "[" OCTAVO_SPACE "]+(?![^" OCTAVO_SPACE "])|[" OCTAVO_SPACE "]+"
// A run of neither white space, letters nor digits, with its line breaks.
#define OCTAVO_SYMBOLS " ?[^" OCTAVO_SPACE "\\p{L}\\p{N}]+"

constexpr const char* gpt2 =
    "'(?:[stmd]|re|ve|ll)| ?\\p{L}+| ?\\p{N}+|" OCTAVO_SYMBOLS "|" OCTAVO_SPACES;
constexpr const char* one_digit = "\\p{N}";
constexpr const char* three_ascii_digits = "[0-9][0-9][0-9]";
constexpr const char* three_digits = "\\p{N}{1,3}";

constexpr const char* llama3 =
    OCTAVO_CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|" OCTAVO_SYMBOLS
                       "[\\r\\n]*|" OCTAVO_LINE_BREAKS "|" OCTAVO_SPACES;
constexpr const char* qwen2 =
    OCTAVO_CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|" OCTAVO_SYMBOLS
                       "[\\r\\n]*|" OCTAVO_LINE_BREAKS "|" OCTAVO_SPACES;
constexpr const char* qwen35 =
    OCTAVO_CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^" OCTAVO_SPACE
                       "\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" OCTAVO_LINE_BREAKS "|" OCTAVO_SPACES;

// Words of capitals then small letters; letters without case count as both.
#define OCTAVO_UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define OCTAVO_LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define OCTAVO_BEFORE_WORD "[^\\r\\n\\p{L}\\p{N}]?"
constexpr const char* tekken = OCTAVO_BEFORE_WORD OCTAVO_UPPER
    "*" OCTAVO_LOWER "+|" OCTAVO_BEFORE_WORD OCTAVO_UPPER "+" OCTAVO_LOWER
    "*|\\p{N}|" OCTAVO_SYMBOLS "[\\r\\n/]*|" OCTAVO_LINE_BREAKS "|" OCTAVO_SPACES;
constexpr const char* gpt4o = OCTAVO_BEFORE_WORD OCTAVO_UPPER
    "*" OCTAVO_LOWER "+(?:" OCTAVO_CONTRACTION ")?|" OCTAVO_BEFORE_WORD OCTAVO_UPPER
    "+" OCTAVO_LOWER "*(?:" OCTAVO_CONTRACTION ")?|\\p{N}{1,3}|" OCTAVO_SYMBOLS
    "[\\r\\n/]*|" OCTAVO_LINE_BREAKS "|" OCTAVO_SPACES;

// Falcon: punctuation with the ASCII symbols first; the default's lacks the grave accent.
constexpr const char* falcon_punctuation = "[\\p{P}$+<=>^~|`]+";
constexpr const char* default_punctuation = "[\\p{P}$+<=>^~|]+";
constexpr const char* digits = "\\p{N}+";

constexpr const char* one_line_break = "[\\r\\n]";
constexpr const char* coder_letters = "[" OCTAVO_SPACE "]?\\p{L}+";
constexpr const char* coder_punctuation = "[" OCTAVO_SPACE "]?\\p{P}+";
constexpr const char* cjk_and_hangul =
    "[\\x{4e00}-\\x{9fa5}\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+";
constexpr const char* cjk_and_kana = "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{30ff}]+";
constexpr const char* deepseek3 =
    "[!-/:-@\\[-`{-~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| "
    "?[\\p{P}\\p{S}]+[\\r\\n]*|" OCTAVO_LINE_BREAKS "|" OCTAVO_SPACES;

// The look-behind makes only a run's beginning a place to try, so that long runs cost no more.
constexpr const char* final_spaces = "(?<![" OCTAVO_SPACE "])[" OCTAVO_SPACE "]++\\z";
constexpr const char* deepseek_punctuation =
    "[" OCTAVO_SPACE
    "]?[!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}"
    "\\x{3000}-\\x{3002}]+";
// The letters that have case, as the model's authors listed them.
constexpr const char* deepseek_letters =
    "[" OCTAVO_SPACE
    "]?[A-Za-z\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}"
    "\\x{1bc}-\\x{1bf}\\x{1c4}-\\x{293}\\x{295}-\\x{2af}\\x{370}-\\x{373}\\x{376}\\x{377}"
    "\\x{37b}-\\x{37d}\\x{37f}\\x{386}\\x{388}-\\x{38a}\\x{38c}\\x{38e}-\\x{3a1}\\x{3a3}-\\x{3f5}"
    "\\x{3f7}-\\x{481}\\x{48a}-\\x{52f}\\x{531}-\\x{556}\\x{10a0}-\\x{10c5}\\x{13a0}-\\x{13f5}"
    "\\x{13f8}-\\x{13fd}\\x{1c90}-\\x{1cba}\\x{1cbd}-\\x{1cbf}\\x{1d00}-\\x{1d2b}"
    "\\x{1d6b}-\\x{1d77}\\x{1d79}-\\x{1d9a}\\x{1e00}-\\x{1f15}\\x{1f18}-\\x{1f1d}"
    "\\x{1f20}-\\x{1f45}\\x{1f48}-\\x{1f4d}\\x{1f50}-\\x{1f57}\\x{1f59}\\x{1f5b}\\x{1f5d}"
    "\\x{1f5f}-\\x{1f7d}\\x{1f80}-\\x{1fb4}\\x{1fb6}-\\x{1fbc}\\x{1fbe}\\x{1fc2}-\\x{1fc4}"
    "\\x{1fc6}-\\x{1fcc}\\x{1fd0}-\\x{1fd3}\\x{1fd6}-\\x{1fdb}\\x{1fe0}-\\x{1fec}"
    "\\x{1ff2}-\\x{1ff4}\\x{1ff6}-\\x{1ffc}\\x{2102}\\x{2107}\\x{210a}-\\x{2113}\\x{2115}"
    "\\x{2119}-\\x{211d}\\x{2124}\\x{2126}\\x{2128}\\x{212a}-\\x{212d}\\x{212f}-\\x{2134}\\x{2139}"
    "\\x{213c}-\\x{213f}\\x{2145}-\\x{2149}\\x{214e}\\x{2183}\\x{2184}\\x{2c00}-\\x{2c7b}"
    "\\x{2c7e}-\\x{2ce4}\\x{2ceb}-\\x{2cee}\\x{2cf2}\\x{2cf3}\\x{a640}-\\x{a66d}"
    "\\x{a680}-\\x{a69b}\\x{a722}-\\x{a76f}\\x{a771}-\\x{a787}\\x{a78b}-\\x{a78e}"
    "\\x{ab70}-\\x{abbf}\\x{fb00}-\\x{fb06}\\x{fb13}-\\x{fb17}\\x{ff21}-\\x{ff3a}"
    "\\x{ff41}-\\x{ff5a}\\x{10400}-\\x{1044f}\\x{104b0}-\\x{104d3}\\x{104d8}-\\x{104fb}"
    "\\x{10c80}-\\x{10cb2}\\x{10cc0}-\\x{10cf2}\\x{118a0}-\\x{118df}\\x{1e900}-\\x{1e943}]+";

constexpr const char* bailing =
    OCTAVO_CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|" OCTAVO_SYMBOLS
                       "[\\r\\n]*|[" OCTAVO_SPACE "]*[\\r\\n]|" OCTAVO_SPACES;
// Gemma 4 merges over whole lines.
constexpr const char* lines = "[^\\n]+|\\n+";

struct Family {
  std::vector<std::string_view> names;  // as in tokenizer.ggml.pre
  std::vector<const char*> patterns;
  bool ignore_merges = false;
  bool add_bos = false;
};

inline const std::vector<Family>& families() {
  static const std::vector<Family> all = {
      {{"default"}, {default_punctuation, gpt2, digits, three_ascii_digits}},
      {{"gpt-2", "phi-2", "olmo", "mpt", "jais", "gigachat", "a.x-4.0", "mellum", "exaone4",
        "trillion", "granite-docling"},
       {gpt2}},
      {{"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b",
        "mellum2"},
       {one_digit, gpt2}},
      {{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"},
       {llama3},
       true,
       true},
      {{"dbrx", "smaug-bpe", "chatglm-bpe", "glm4"}, {llama3}},
      {{"qwen2", "deepseek-r1-qwen", "kormo", "megrez", "stablelm2", "hunyuan", "solar-open",
        "grok-2"},
       {qwen2}},
      {{"qwen35"}, {qwen35}},
      {{"tekken"}, {tekken}, true, true},
      {{"gpt-4o", "llama4", "kanana2", "minimax-m2"}, {gpt4o}},
      {{"falcon"}, {falcon_punctuation, gpt2, three_ascii_digits}},
      {{"deepseek-coder"},
       {one_line_break, coder_letters, coder_punctuation, cjk_and_hangul, one_digit}},
      {{"deepseek-llm"},
       {one_line_break, deepseek_letters, deepseek_punctuation, final_spaces, cjk_and_hangul,
        digits}},
      {{"deepseek-v3", "hunyuan-dense", "joyai-llm"}, {three_digits, cjk_and_kana, deepseek3}},
      {{"bailingmoe", "bailingmoe2", "llada-moe"}, {bailing}},
      {{"gemma4"}, {lines}, false, true},
  };
  return all;
}

#undef OCTAVO_SPACE
#undef OCTAVO_CONTRACTION
#undef OCTAVO_LINE_BREAKS
#undef OCTAVO_SPACES
#undef OCTAVO_SYMBOLS
#undef OCTAVO_UPPER
#undef OCTAVO_LOWER
#undef OCTAVO_BEFORE_WORD

}  // namespace octavo::text::patterns
