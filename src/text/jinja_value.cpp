#include "text/jinja_value.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace octavo::text::jinja {

int64_t Value::as_integer() const {
  if (const bool* flag = boolean()) return *flag ? 1 : 0;
  return *integer();
}

double Value::as_real() const {
  return real() ? *real() : static_cast<double>(as_integer());
}

int Value::depth() const {
  if (list()) return list()->depth;
  if (dict()) return dict()->depth;
  if (loop()) return 1 + loop()->items->depth;
  if (function()) return 1 + function()->self.depth();
  return 0;
}

bool key_text(const Value& key, std::string& text) {
  // A string is its own text; the other types start with a byte that strings are escaped from.
  constexpr char mark = '\x01';
  if (const std::string* string = key.string()) {
    text = *string;
    if (!text.empty() && text[0] == mark) text.insert(0, 1, mark);
  } else if (key.integral()) {
    text = fmt::format("{}i{}", mark, key.as_integer());
  } else if (const double* real = key.real()) {
    const bool is_whole = std::abs(*real) < 0x1p53 && std::trunc(*real) == *real;
    text = is_whole ? fmt::format("{}i{}", mark, static_cast<int64_t>(*real))
                    : fmt::format("{}f{}", mark, *real);
  } else if (key.is_none()) {
    text = fmt::format("{}n", mark);
  } else {
    return false;
  }
  return true;
}

const Value* Dict::find(const Value& key) const {
  std::string text;
  if (!key_text(key, text)) return nullptr;
  const auto found = index.find(text);
  return found == index.end() ? nullptr : &entries[found->second].second;
}

bool truth(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (value.integral()) return value.as_integer() != 0;
  if (value.real()) return *value.real() != 0;
  if (value.string()) return !value.string()->empty();
  if (value.list()) return !value.list()->items.empty();
  if (value.dict()) return !value.dict()->entries.empty();
  return true;
}

std::string_view type_name(const Value& value) {
  if (value.list() && value.list()->is_tuple) return "tuple";
  constexpr std::array<std::string_view, std::variant_size_v<Value::Data>> names = {
      "undefined", "NoneType", "bool", "int",      "float",    "str",
      "list",      "dict",     "loop", "function", "namespace"};
  return names[value.data.index()];
}

}  // namespace octavo::text::jinja
