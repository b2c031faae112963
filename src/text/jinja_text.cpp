#include "text/jinja_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/utf8.h"

namespace octavo::text::jinja {
namespace {

size_t step(std::string_view text) {
  return std::max<size_t>(1, utf8_sequence_length(text));
}

char32_t first_code_point(std::string_view text) {
  const size_t length = utf8_sequence_length(text);
  return length == 0 ? U'\uFFFD' : decode_utf8(text, length);
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (static_cast<unsigned char>(c) >= 128);
}

char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

char to_upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c;
}

// What repr() escapes: controls, separators other than the space, format characters, private use.
// The ranges cover the characters met in practice, not Unicode's whole table.
bool is_printable(char32_t c) {
  if (c < 0x20 || (c >= 0x7F && c <= 0xA0) || c == 0xAD) return false;
  if ((c >= 0x200B && c <= 0x200F) || (c >= 0x202A && c <= 0x202E)) return false;
  if ((c >= 0x2060 && c <= 0x206F) || c == 0xFEFF) return false;
  if ((c >= 0xE000 && c <= 0xF8FF) || c >= 0xE0000) return false;
  return c == 0x20 || !is_space(c);
}

}  // namespace

size_t code_point_count(std::string_view text) {
  size_t count = 0;
  for (; !text.empty(); text.remove_prefix(step(text))) ++count;
  return count;
}

std::vector<std::string_view> code_points(std::string_view text) {
  std::vector<std::string_view> out;
  out.reserve(text.size());
  for (; !text.empty(); text.remove_prefix(out.back().size())) {
    out.push_back(text.substr(0, step(text)));
  }
  return out;
}

std::string_view code_point_range(std::string_view text, size_t first, size_t count) {
  for (; first > 0 && !text.empty(); --first) text.remove_prefix(step(text));
  size_t bytes = 0;
  for (; count > 0 && bytes < text.size(); --count) bytes += step(text.substr(bytes));
  return text.substr(0, bytes);
}

bool is_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_blank(std::string_view text) {
  return strip(text, nullptr, true, false).empty();
}

std::string_view strip(std::string_view text, const std::string_view* chars, bool left,
                       bool right) {
  const auto goes = [chars](std::string_view c) {
    return chars ? chars->find(c) != std::string_view::npos : is_space(first_code_point(c));
  };
  while (left && !text.empty()) {
    const size_t length = step(text);
    if (!goes(text.substr(0, length))) break;
    text.remove_prefix(length);
  }
  while (right && !text.empty()) {
    size_t start = text.size() - 1;
    while (start > 0 && text.size() - start < 4 && (text[start] & '\xC0') == '\x80') --start;
    if (step(text.substr(start)) != text.size() - start) start = text.size() - 1;
    if (!goes(text.substr(start))) break;
    text.remove_suffix(text.size() - start);
  }
  return text;
}

size_t occurrences(std::string_view text, std::string_view what) {
  if (what.empty()) return code_point_count(text) + 1;
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string_view::npos;
       at = text.find(what, at + what.size())) {
    ++count;
  }
  return count;
}

std::string replace(std::string_view text, std::string_view from, std::string_view to,
                    int64_t limit) {
  std::string out;
  size_t at = 0;
  for (; limit != 0 && at <= text.size(); --limit) {
    const size_t found = text.find(from, at);
    if (found == std::string_view::npos) break;
    out += text.substr(at, found - at);
    out += to;
    at = found + from.size();
    if (from.empty()) {  // Python replaces between all code points
      const size_t length = at < text.size() ? step(text.substr(at)) : 1;
      out += text.substr(std::min(at, text.size()), length);
      at += length;
    }
  }
  if (at < text.size()) out += text.substr(at);
  return out;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), to_lower);
  return out;
}

std::string upper(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), to_upper);
  return out;
}

std::string capitalize(std::string_view text) {
  std::string out = lower(text);
  if (!out.empty()) out[0] = to_upper(out[0]);
  return out;
}

std::string title(std::string_view text) {
  std::string out = lower(text);
  bool in_word = false;
  for (char& c : out) {
    if (!in_word) c = to_upper(c);
    in_word = is_letter(c);
  }
  return out;
}

std::string python_float(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::string out = fmt::format("{}", value);  // the shortest digits that read back as `value`
  if (out.find_first_of(".e") == std::string::npos) out += ".0";
  return out;
}

std::string python_quote(std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  for (std::string_view piece; !text.empty(); text.remove_prefix(piece.size())) {
    piece = text.substr(0, step(text));
    const char32_t c = first_code_point(piece);
    if (piece[0] == quote || piece[0] == '\\') {
      out += '\\';
      out += piece;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (is_printable(c)) {
      out += piece;
    } else if (c < 0x100) {
      out += fmt::format("\\x{:02x}", static_cast<uint32_t>(c));
    } else if (c < 0x10000) {
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
    } else {
      out += fmt::format("\\U{:08x}", static_cast<uint32_t>(c));
    }
  }
  out += quote;
  return out;
}

std::string json_quote(std::string_view text, bool ascii_only) {
  constexpr std::string_view named = "\"\\\b\f\n\r\t";
  constexpr std::string_view letters = "\"\\bfnrt";
  std::string out = "\"";
  for (std::string_view piece; !text.empty(); text.remove_prefix(piece.size())) {
    piece = text.substr(0, step(text));
    const auto c = static_cast<uint32_t>(first_code_point(piece));
    const size_t name = named.find(piece[0]);
    if (name != std::string_view::npos) {
      out += '\\';
      out += letters[name];
    } else if (c >= 0x10000 && ascii_only) {
      const uint32_t offset = c - 0x10000;
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (offset >> 10), 0xDC00 + (offset & 0x3FF));
    } else if (c < 0x20 || (c >= 0x80 && ascii_only)) {
      out += fmt::format("\\u{:04x}", c);
    } else {
      out += piece;
    }
  }
  out += '"';
  return out;
}

}  // namespace octavo::text::jinja
