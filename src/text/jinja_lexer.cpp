#include "text/jinja_lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include "base/utf8.h"
#include "text/jinja_runtime.h"
#include "text/jinja_text.h"

namespace octavo::text::jinja {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

// Line ends as \n, and without the last one.
std::string normalise_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else if (i + 1 == source.size() || source[i + 1] != '\n') {
      out += '\n';
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalise_newlines(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) {
      const size_t tag = find_tag(at_);
      lex_text(at_, tag);
      if (at_ < source_.size()) lex_tag();
    }
    emit(TokenKind::end, {});
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(std::string message) const {
    throw TemplateError{ErrorKind::invalid_input, line_, std::move(message)};
  }

  void emit(TokenKind kind, std::string text) {
    tokens_.push_back({kind, line_, std::move(text), 0, 0});
  }

  bool starts_with(std::string_view prefix) const {
    return std::string_view(source_).substr(at_, prefix.size()) == prefix;
  }

  void advance(size_t bytes) {
    const auto from = source_.begin() + static_cast<std::ptrdiff_t>(at_);
    line_ += static_cast<int>(std::count(from, from + static_cast<std::ptrdiff_t>(bytes), '\n'));
    at_ += bytes;
  }

  void skip_spaces() {
    const std::string_view rest = std::string_view(source_).substr(at_);
    advance(rest.size() - strip(rest, nullptr, true, false).size());
  }

  size_t find_tag(size_t from) const {
    for (; from + 1 < source_.size(); ++from) {
      const char second = source_[from + 1];
      if (source_[from] == '{' && (second == '{' || second == '%' || second == '#')) return from;
    }
    return source_.size();
  }

  // The text up to the tag at `tag` (or the end), with what that tag strips off it.
  void lex_text(size_t begin, size_t tag) {
    std::string_view text = std::string_view(source_).substr(begin, tag - begin);
    if (tag < source_.size()) {
      const char sign = tag + 2 < source_.size() ? source_[tag + 2] : ' ';
      text = strip_before(text, sign, source_[tag + 1] != '{');
    }
    if (!text.empty()) emit(TokenKind::data, std::string(text));
    advance(tag - begin);
  }

  std::string_view strip_before(std::string_view text, char sign, bool is_block) const {
    if (sign == '-') return strip(text, nullptr, false, true);
    if (sign == '+' || !is_block) return text;
    // lstrip_blocks: a tag that only spaces precede on its line takes them along.
    const size_t line_start = text.rfind('\n') + 1;  // 0 when there is none
    const bool at_line_start = line_start > 0 || line_starting_;
    return at_line_start && is_blank(text.substr(line_start)) ? text.substr(0, line_start) : text;
  }

  void lex_tag() {
    const char type = source_[at_ + 1];
    const bool has_sign =
        at_ + 2 < source_.size() && (source_[at_ + 2] == '-' || source_[at_ + 2] == '+');
    if (type == '#') return lex_comment(has_sign ? 3 : 2);
    if (type == '%' && lex_raw()) return;
    emit(type == '%' ? TokenKind::block_begin : TokenKind::output_begin, {});
    advance(has_sign ? 3 : 2);
    lex_inside(type == '%');
  }

  void lex_comment(size_t opening) {
    const size_t start = at_ + opening;
    const size_t close = source_.find("#}", start);
    if (close == std::string::npos) fail("a comment has no end");
    const char sign = close > start ? source_[close - 1] : ' ';
    advance(close + 2 - at_);
    finish_tag(sign, true);
  }

  // Behind a tag: '-' takes all spaces, otherwise trim_blocks takes one line end.
  void finish_tag(char sign, bool trims_newline) {
    const size_t end = at_;
    if (sign == '-') {
      skip_spaces();
    } else if (trims_newline && sign != '+' && starts_with("\n")) {
      advance(1);
    }
    line_starting_ = at_ > end && source_[at_ - 1] == '\n';
  }

  // {% name %} at `at_`, with the signs of whitespace control: false when something else is there.
  struct Tag {
    char sign_before = ' ';
    char sign_after = ' ';
    size_t bytes = 0;
  };
  bool match_tag(size_t at, std::string_view name, Tag& tag) const {
    std::string_view rest = std::string_view(source_).substr(at + 2);
    if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) {
      tag.sign_before = rest[0];
      rest.remove_prefix(1);
    }
    rest = strip(rest, nullptr, true, false);
    if (rest.substr(0, name.size()) != name) return false;
    rest = strip(rest.substr(name.size()), nullptr, true, false);
    if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) {
      tag.sign_after = rest[0];
      rest.remove_prefix(1);
    }
    if (rest.substr(0, 2) != "%}") return false;
    tag.bytes = static_cast<size_t>(rest.data() + 2 - source_.data()) - at;
    return true;
  }

  // A whole raw block at `at_`; false when there is none.
  bool lex_raw() {
    Tag open;
    if (!match_tag(at_, "raw", open) || open.sign_after == '+') return false;
    advance(open.bytes);
    finish_tag(open.sign_after, false);
    for (size_t i = source_.find("{%", at_); i != std::string::npos;
         i = source_.find("{%", i + 2)) {
      Tag close;
      if (!match_tag(i, "endraw", close)) continue;
      const std::string_view text = std::string_view(source_).substr(at_, i - at_);
      const std::string_view kept = strip_before(text, close.sign_before, true);
      if (!kept.empty()) emit(TokenKind::data, std::string(kept));
      advance(i + close.bytes - at_);
      finish_tag(close.sign_after, true);
      return true;
    }
    fail("a raw block has no end");
  }

  void lex_inside(bool is_block) {
    const std::string_view closing = is_block ? "%}" : "}}";
    std::string brackets;  // the closing brackets still to come
    for (;;) {
      skip_spaces();
      if (at_ >= source_.size()) fail("the template ends inside a tag");
      const char c = source_[at_];
      if (brackets.empty()) {
        const bool has_sign = c == '-' || (c == '+' && is_block);
        if (std::string_view(source_).substr(at_ + (has_sign ? 1 : 0), 2) == closing) {
          emit(is_block ? TokenKind::block_end : TokenKind::output_end, {});
          advance(has_sign ? 3 : 2);
          return finish_tag(has_sign ? c : ' ', is_block);
        }
      }
      if (is_digit(c)) {
        lex_number();
      } else if (is_name_start(c)) {
        size_t end = at_ + 1;
        while (end < source_.size() && (is_name_start(source_[end]) || is_digit(source_[end]))) {
          ++end;
        }
        emit(TokenKind::name, source_.substr(at_, end - at_));
        advance(end - at_);
      } else if (c == '"' || c == '\'') {
        lex_string(c);
      } else {
        lex_operator(brackets);
      }
    }
  }

  void lex_operator(std::string& brackets) {
    constexpr std::array<std::string_view, 6> doubles = {"//", "**", "==", "!=", "<=", ">="};
    constexpr std::string_view singles = "+-/*%~[](){}<>=.:|,";
    const auto two = std::find_if(doubles.begin(), doubles.end(),
                                  [this](std::string_view op) { return starts_with(op); });
    const char c = source_[at_];
    if (two != doubles.end()) {
      emit(TokenKind::op, std::string(*two));
      return advance(2);
    }
    if (singles.find(c) == std::string_view::npos) {
      const size_t length = std::max<size_t>(1, utf8_sequence_length(source_.substr(at_, 4)));
      fail(fmt::format("unexpected character '{}'", source_.substr(at_, length)));
    }
    if (c == '(' || c == '[' || c == '{') brackets += c == '(' ? ')' : c == '[' ? ']' : '}';
    if (c == ')' || c == ']' || c == '}') {
      if (brackets.empty() || brackets.back() != c) fail(fmt::format("unexpected '{}'", c));
      brackets.pop_back();
    }
    emit(TokenKind::op, std::string(1, c));
    advance(1);
  }

  void lex_number() {
    std::string digits;
    size_t end = at_;
    const auto take_digits = [&] {
      for (; end < source_.size(); ++end) {
        const bool joins =
            source_[end] == '_' && end + 1 < source_.size() && is_digit(source_[end + 1]);
        if (is_digit(source_[end]))
          digits += source_[end];
        else if (!joins)
          break;
      }
    };
    const auto digit_at = [&](size_t i) { return i < source_.size() && is_digit(source_[i]); };
    const auto at = [&](size_t i) { return i < source_.size() ? source_[i] : ' '; };
    take_digits();
    bool is_real = false;
    // After a dot, "a.0.1" names two items.
    const bool may_be_real = at_ == 0 || source_[at_ - 1] != '.';
    if (may_be_real && at(end) == '.' && digit_at(end + 1)) {
      is_real = true;
      digits += source_[end++];
      take_digits();
    }
    if (may_be_real && (at(end) == 'e' || at(end) == 'E')) {
      const size_t sign = at(end + 1) == '+' || at(end + 1) == '-' ? 1 : 0;
      if (digit_at(end + 1 + sign)) {
        is_real = true;
        digits += source_.substr(end, 1 + sign);
        end += 1 + sign;
        take_digits();
      }
    }
    emit(is_real ? TokenKind::real : TokenKind::integer, {});
    if (is_real) {
      tokens_.back().real = std::strtod(digits.c_str(), nullptr);
    } else if (std::from_chars(digits.data(), digits.data() + digits.size(), tokens_.back().integer)
                   .ec != std::errc()) {
      fail(fmt::format("the integer {} is too large", digits));
    }
    advance(end - at_);
  }

  void lex_string(char quote) {
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) fail("a string has no end");
    const std::string_view body = std::string_view(source_).substr(at_ + 1, end - at_ - 1);
    emit(TokenKind::string, unescape(body));
    advance(end + 1 - at_);
  }

  // Python's escapes in string literals. One that Python does not know stands for itself.
  std::string unescape(std::string_view body) const {
    constexpr std::string_view letters = "abfnrtv\\'\"\n";
    constexpr std::string_view meanings = "\a\b\f\n\r\t\v\\'\"";
    std::string out;
    for (size_t i = 0; i < body.size(); ++i) {
      if (body[i] != '\\' || i + 1 == body.size()) {
        out += body[i];
        continue;
      }
      const char c = body[++i];
      const size_t letter = letters.find(c);
      if (letter != std::string_view::npos) {
        if (letter < meanings.size()) out += meanings[letter];  // a line end after \ is dropped
      } else if (c == 'x' || c == 'u' || c == 'U') {
        const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        append_utf8(out, numeric_escape(body.substr(i + 1, digits), digits, 16));
        i += digits;
      } else if (c >= '0' && c <= '7') {
        size_t digits = 1;
        while (digits < 3 && i + digits < body.size() && body[i + digits] >= '0' &&
               body[i + digits] <= '7')
          ++digits;
        append_utf8(out, numeric_escape(body.substr(i, digits), digits, 8));
        i += digits - 1;
      } else {
        out += '\\';
        out += c;
      }
    }
    return out;
  }

  char32_t numeric_escape(std::string_view text, size_t digits, int base) const {
    uint32_t value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (text.size() != digits || parsed.ec != std::errc() || parsed.ptr != text.data() + digits) {
      fail(fmt::format("'{}' is not {} digits of an escape in a string", text, digits));
    }
    return value;
  }

  const std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;  // the last tag ended with a line end
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
  return Lexer(source).run();
}

}  // namespace octavo::text::jinja
