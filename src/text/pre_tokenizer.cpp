#include "text/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/utf8.h"
#include "text/pre_tokenizer_patterns.h"

namespace octavo::text {

// One compiled pattern.
class PreTokenizer::Pattern {
 public:
  explicit Pattern(const char* expression) {
    int error = 0;
    size_t offset = 0;
    code_ = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression), PCRE2_ZERO_TERMINATED,
                          PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
    OCTAVO_CHECK(code_ != nullptr, "pattern {}: error {} at {}", expression, error, offset);
    // Where there is no compiler for this machine the library interprets the pattern instead.
    pcre2_jit_compile(code_, PCRE2_JIT_COMPLETE);
  }
  ~Pattern() { pcre2_code_free(code_); }
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;

  // Appends the matches in `piece`, which is UTF-8, and the stretches between them to `out`.
  void cut(std::string_view piece, pcre2_match_data* match,
           std::vector<std::string_view>& out) const {
    const size_t* bounds = pcre2_get_ovector_pointer(match);
    size_t at = 0;
    while (at < piece.size()) {
      const int found = pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(piece.data()), piece.size(),
                                    at, PCRE2_NO_UTF_CHECK, match, nullptr);
      // Besides "no match" this can only be one of the library's own limits: the rest stays whole,
      // which still is a cut that decodes to the same text.
      if (found < 0 || bounds[1] <= at) break;
      if (bounds[0] > at) out.push_back(piece.substr(at, bounds[0] - at));
      out.push_back(piece.substr(bounds[0], bounds[1] - bounds[0]));
      at = bounds[1];
    }
    if (at < piece.size()) out.push_back(piece.substr(at));
  }

 private:
  pcre2_code* code_ = nullptr;
};

namespace {

struct FreeMatchData {
  void operator()(pcre2_match_data* match) const { pcre2_match_data_free(match); }
};

// Bytes at the start of `text` that are well-formed UTF-8, or, where there are none, that are not.
size_t uniform_prefix(std::string_view text) {
  const bool valid = utf8_sequence_length(text) > 0;
  size_t at = 0;
  while (at < text.size()) {
    const size_t length = utf8_sequence_length(text.substr(at));
    if ((length > 0) != valid) break;
    at += valid ? length : 1;
  }
  return at;
}

}  // namespace

PreTokenizer::PreTokenizer() = default;
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer& PreTokenizer::operator=(PreTokenizer&&) noexcept = default;
PreTokenizer::~PreTokenizer() = default;

Result<PreTokenizer> PreTokenizer::create(std::string_view name) {
  std::string known;
  for (const patterns::Family& family : patterns::families()) {
    for (const std::string_view candidate : family.names) {
      if (candidate != name) {
        known += (known.empty() ? "" : ", ") + std::string(candidate);
        continue;
      }
      PreTokenizer made;
      made.ignore_merges_ = family.ignore_merges;
      made.add_bos_ = family.add_bos;
      for (const char* expression : family.patterns) {
        made.patterns_.push_back(std::make_unique<Pattern>(expression));
      }
      return made;
    }
  }
  return unsupported("unknown pre-tokenizer '{}', supported are: {}", printable(name), known);
}

std::vector<std::string_view> PreTokenizer::split(std::string_view text) const {
  const std::unique_ptr<pcre2_match_data, FreeMatchData> match(pcre2_match_data_create(1, nullptr));
  OCTAVO_CHECK(match != nullptr, "out of memory");
  std::vector<std::string_view> words;
  std::vector<std::string_view> pieces;
  std::vector<std::string_view> next;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, uniform_prefix(text));
    text.remove_prefix(part.size());
    pieces.assign(1, part);
    if (utf8_sequence_length(part) > 0) {
      for (const std::unique_ptr<Pattern>& pattern : patterns_) {
        next.clear();
        for (const std::string_view piece : pieces) pattern->cut(piece, match.get(), next);
        pieces.swap(next);
      }
    }
    words.insert(words.end(), pieces.begin(), pieces.end());
  }
  return words;
}

}  // namespace octavo::text
