// Jinja's filters, value | name(...), and those that transformers adds, as one table.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "text/jinja_builtins.h"
#include "text/jinja_json.h"
#include "text/jinja_operations.h"
#include "text/jinja_text.h"

namespace octavo::text::jinja {
namespace {

using Args = const std::vector<Value>&;

bool is_given(const Value& value) {
  return !value.is_undefined() && !value.is_none();
}

// --- text ---

template <std::string (*change)(std::string_view)>
Value change_text(Runtime& runtime, const Value& self, Args /*args*/) {
  return runtime.string(change(to_text(runtime, self)));
}

Value to_string(Runtime& runtime, const Value& self, Args /*args*/) {
  return to_string_value(runtime, self);
}

// Unlike Python's str.title(), words begin behind spaces, hyphens and opening brackets only.
Value title_words(Runtime& runtime, const Value& self, Args /*args*/) {
  const std::string text = lower(to_text(runtime, self));
  std::string out;
  bool in_word = false;
  for (size_t at = 0; at < text.size();) {
    const std::string_view piece = code_point_range(std::string_view(text).substr(at), 0, 1);
    out += in_word ? std::string(piece) : upper(piece);
    in_word = !is_blank(piece) && std::string_view("-({[<").find(piece) == std::string_view::npos;
    at += piece.size();
  }
  return runtime.string(std::move(out));
}

Value trim(Runtime& runtime, const Value& self, Args args) {
  const std::string text = to_text(runtime, self);
  if (!is_given(args[0])) return runtime.string(std::string(strip(text, nullptr, true, true)));
  const std::string_view chars = string_argument(runtime, args[0], "the characters to trim");
  return runtime.string(std::string(strip(text, &chars, true, true)));
}

Value replace_text(Runtime& runtime, const Value& self, Args args) {
  const std::string text = to_text(runtime, self);
  const std::string& from = string_argument(runtime, args[0], "the text to replace");
  const std::string& to = string_argument(runtime, args[1], "the replacement");
  const int64_t limit = is_given(args[2]) ? integer_argument(runtime, args[2], "the count") : -1;
  runtime.charge_search(text, from);
  runtime.charge_each(occurrences(text, from), byte_work * to.size());
  return runtime.string(replace(text, from, to, limit));
}

// The width is a number of spaces or a text. The first line stays as it is, and so do empty ones,
// unless asked for.
Value indent(Runtime& runtime, const Value& self, Args args) {
  const std::string text = to_text(runtime, self);
  std::string margin(4, ' ');
  if (args[0].string()) {
    margin = *args[0].string();
  } else if (!args[0].is_undefined()) {
    const int64_t width = std::max<int64_t>(0, integer_argument(runtime, args[0], "the width"));
    runtime.charge_each(static_cast<uint64_t>(width), byte_work);
    margin.assign(static_cast<size_t>(width), ' ');
  }
  runtime.charge_each(occurrences(text, "\n") + 1, byte_work * margin.size());
  const bool indents_blank = truth(args[2]);
  std::string out = truth(args[1]) ? margin : "";
  for (size_t start = 0;;) {
    const size_t end = text.find('\n', start);
    const bool is_empty = end == start || start == text.size();
    if (start > 0 && (indents_blank || !is_empty)) out += margin;
    if (end == std::string::npos) return runtime.string(out + text.substr(start));
    out.append(text, start, end + 1 - start);
    start = end + 1;
  }
}

Value json(Runtime& runtime, const Value& self, Args args) {
  JsonStyle style;
  style.ascii_only = truth(args[0]);
  style.has_indent = is_given(args[1]);
  if (style.has_indent) {
    style.item_separator = ",";
    if (args[1].string()) {
      style.indent = *args[1].string();
    } else {
      const int64_t width = std::max<int64_t>(0, integer_argument(runtime, args[1], "the indent"));
      runtime.charge_each(static_cast<uint64_t>(width), byte_work);
      style.indent.assign(static_cast<size_t>(width), ' ');
    }
  }
  if (is_given(args[2])) {
    const auto separators = items_of(runtime, args[2]);
    if (separators->items.size() != 2) runtime.fail("tojson needs two separators");
    style.item_separator = string_argument(runtime, separators->items[0], "a separator");
    style.key_separator = string_argument(runtime, separators->items[1], "a separator");
  }
  style.sorts_keys = truth(args[3]);
  return runtime.string(to_json(runtime, self, style));
}

Value parsed_json(Runtime& runtime, const Value& self, Args /*args*/) {
  const std::string& text = string_argument(runtime, self, "the JSON to parse");
  runtime.charge_each(text.size(), item_work);
  const auto parsed = nlohmann::ordered_json::parse(text, nullptr, false);
  if (parsed.is_discarded()) runtime.fail("'{}' is not JSON", printable(text));
  return from_json(runtime, parsed);
}

// --- numbers ---

Value absolute(Runtime& runtime, const Value& self, Args /*args*/) {
  const Value zero(int64_t{0});
  return with_sign(runtime, self, order(runtime, self, zero) < 0);
}

// The number that `text` is, with spaces around it allowed; undefined for anything else.
Value parse_number(std::string_view text) {
  text = strip(text, nullptr, true, true);
  if (text.substr(0, 1) == "+" && text.substr(0, 2) != "+-") text.remove_prefix(1);
  int64_t integer = 0;
  const char* end = text.data() + text.size();
  const auto whole = std::from_chars(text.data(), end, integer);
  if (!text.empty() && whole.ec == std::errc() && whole.ptr == end) return Value(integer);
  double real = 0;
  const auto parsed = std::from_chars(text.data(), end, real);
  if (!text.empty() && parsed.ec == std::errc() && parsed.ptr == end) return Value(real);
  return {};
}

Value to_integer(Runtime& runtime, const Value& self, Args args) {
  runtime.require_defined(self);
  const Value number = self.string() ? parse_number(*self.string()) : self;
  if (number.integral()) return Value(number.as_integer());
  // Beyond these bounds a double has no 64-bit integer; the comparison is false for NaN too.
  if (number.real() && std::abs(*number.real()) < 0x1p63) {
    return Value(static_cast<int64_t>(*number.real()));
  }
  return args[0].is_undefined() ? Value(int64_t{0}) : args[0];
}

Value to_real(Runtime& runtime, const Value& self, Args args) {
  runtime.require_defined(self);
  const Value number = self.string() ? parse_number(*self.string()) : self;
  if (number.is_number()) return Value(number.as_real());
  return args[0].is_undefined() ? Value(0.0) : args[0];
}

Value round_number(Runtime& runtime, const Value& self, Args args) {
  runtime.require_defined(self);
  if (!self.is_number()) runtime.fail("a {} cannot be rounded", type_name(self));
  const int64_t digits =
      args[0].is_undefined() ? 0 : integer_argument(runtime, args[0], "the precision");
  const std::string method = args[1].is_undefined() ? "common" : to_text(runtime, args[1]);
  if (digits < 0 || digits > 15) runtime.fail("the precision {} is not within 0 to 15", digits);
  if (self.integral() && method == "common") return Value(self.as_integer());
  const double value = self.as_real();
  const double scale = std::pow(10.0, static_cast<double>(digits));
  if (method == "ceil") return Value(std::ceil(value * scale) / scale);
  if (method == "floor") return Value(std::floor(value * scale) / scale);
  if (method != "common") runtime.fail("unknown rounding '{}'", printable(method));
  // Formatting rounds the exact binary value, ties to even, as Python's round() does.
  const std::string text = fmt::format("{:.{}f}", value, static_cast<int>(digits));
  return Value(std::strtod(text.c_str(), nullptr));
}

// --- values and sequences ---

Value fallback(Runtime& runtime, const Value& self, Args args) {
  const bool is_missing = self.is_undefined() || (truth(args[1]) && !truth(self));
  if (!is_missing) return self;
  return args[0].is_undefined() ? runtime.string("") : args[0];
}

Value length(Runtime& runtime, const Value& self, Args /*args*/) {
  return Value(static_cast<int64_t>(length_of(runtime, self)));
}

Value to_list(Runtime& runtime, const Value& self, Args /*args*/) {
  return runtime.list(items_of(runtime, self)->items);
}

template <bool last>
Value end_item(Runtime& runtime, const Value& self, Args /*args*/) {
  const auto items = items_of(runtime, self);
  if (items->items.empty()) return runtime.undefined("the sequence is empty");
  return last ? items->items.back() : items->items.front();
}

Value reversed(Runtime& runtime, const Value& self, Args /*args*/) {
  const auto items = items_of(runtime, self);
  std::vector<Value> out(items->items.rbegin(), items->items.rend());
  if (!self.string()) return runtime.list(std::move(out));
  std::string text;
  for (const Value& piece : out) text += *piece.string();
  return runtime.string(std::move(text));
}

Value items(Runtime& runtime, const Value& self, Args /*args*/) {
  if (self.is_undefined()) return runtime.list({});
  if (!self.dict()) runtime.fail("a {} has no items", type_name(self));
  std::vector<Value> out;
  for (const auto& [key, value] : self.dict()->entries) out.push_back(runtime.tuple(key, value));
  return runtime.list(std::move(out));
}

// "name", 0 and "a.b" name an attribute, an item and an attribute's attribute.
Value path_of(Runtime& runtime, Value value, const Value& path) {
  if (!path.string()) return subscript(runtime, value, path);
  std::string_view rest = *path.string();
  for (;;) {
    const size_t dot = rest.find('.');
    const Value name = runtime.string(std::string(rest.substr(0, dot)));
    const Value number = parse_number(*name.string());
    value = subscript(runtime, value, number.integer() ? number : name);
    if (dot == std::string_view::npos) return value;
    rest.remove_prefix(dot + 1);
  }
}

// Python's Jinja compares text without case unless asked otherwise.
Value sort_key(Runtime& runtime, const Value& value, bool is_case_sensitive) {
  if (is_case_sensitive || !value.string()) return value;
  return runtime.string(lower(*value.string()));
}

// Items paired with the keys they are ordered by.
std::vector<std::pair<Value, Value>> keyed(Runtime& runtime, const Value& self,
                                           bool is_case_sensitive, const Value& path) {
  std::vector<std::pair<Value, Value>> out;
  const auto sequence = items_of(runtime, self);
  for (const Value& item : sequence->items) {
    const Value key = path.is_undefined() ? item : path_of(runtime, item, path);
    out.emplace_back(sort_key(runtime, key, is_case_sensitive), item);
  }
  return out;
}

std::vector<Value> sorted(Runtime& runtime, std::vector<std::pair<Value, Value>> items,
                          bool is_descending) {
  std::stable_sort(items.begin(), items.end(), [&](const auto& a, const auto& b) {
    return is_descending ? order(runtime, b.first, a.first) < 0
                         : order(runtime, a.first, b.first) < 0;
  });
  std::vector<Value> out;
  for (auto& item : items) out.push_back(std::move(item.second));
  return out;
}

Value sort(Runtime& runtime, const Value& self, Args args) {
  return runtime.list(
      sorted(runtime, keyed(runtime, self, truth(args[1]), args[2]), truth(args[0])));
}

Value sort_dict(Runtime& runtime, const Value& self, Args args) {
  runtime.require_defined(self);
  if (!self.dict()) runtime.fail("a {} has no items", type_name(self));
  const std::string by = args[1].is_undefined() ? "key" : to_text(runtime, args[1]);
  if (by != "key" && by != "value") runtime.fail("dictsort sorts by 'key' or 'value'");
  std::vector<std::pair<Value, Value>> pairs;
  for (const auto& [key, value] : self.dict()->entries) {
    pairs.emplace_back(sort_key(runtime, by == "key" ? key : value, truth(args[0])),
                       runtime.tuple(key, value));
  }
  return runtime.list(sorted(runtime, std::move(pairs), truth(args[2])));
}

template <bool largest>
Value extreme(Runtime& runtime, const Value& self, Args args) {
  const auto candidates = keyed(runtime, self, truth(args[0]), args[1]);
  if (candidates.empty()) return runtime.undefined("the sequence is empty");
  const auto* best = &candidates.front();
  for (const auto& candidate : candidates) {
    const auto compared = order(runtime, candidate.first, best->first);
    if (largest ? compared > 0 : compared < 0) best = &candidate;
  }
  return best->second;
}

Value unique(Runtime& runtime, const Value& self, Args args) {
  std::vector<Value> keys;
  std::vector<Value> out;
  for (auto& [key, item] : keyed(runtime, self, truth(args[0]), args[1])) {
    const Value& wanted = key;
    const bool is_known = std::any_of(keys.begin(), keys.end(), [&](const Value& known) {
      return equal(runtime, known, wanted);
    });
    if (is_known) continue;
    keys.push_back(key);
    out.push_back(item);
  }
  return runtime.list(std::move(out));
}

Value sum(Runtime& runtime, const Value& self, Args args) {
  Value total = args[1].is_undefined() ? Value(int64_t{0}) : args[1];
  const auto sequence = items_of(runtime, self);
  for (const Value& item : sequence->items) {
    const Value term = args[0].is_undefined() ? item : path_of(runtime, item, args[0]);
    total = arithmetic(runtime, Operator::add, total, term);
  }
  return total;
}

Value join(Runtime& runtime, const Value& self, Args args) {
  const std::string separator = to_text(runtime, args[0]);
  const auto parts = items_of(runtime, self);
  std::string out;
  for (size_t i = 0; i < parts->items.size(); ++i) {
    runtime.charge(node_work + byte_work * separator.size());
    if (i > 0) out += separator;
    const Value& item = parts->items[i];
    out += to_text(runtime, args[1].is_undefined() ? item : path_of(runtime, item, args[1]));
  }
  return runtime.string(std::move(out));
}

// What map, select and their like visit: as in Jinja, nothing at all for none, 0 or false.
std::shared_ptr<const List> items_if_any(Runtime& runtime, const Value& value) {
  return items_of(runtime, truth(value) ? value : Value());
}

// map(attribute="name", default=...) or map("filter", its arguments).
Value map(Runtime& runtime, const Value& self, Args args) {
  const Value& path = args[5];
  const Value& missing = args[6];
  CallArguments arguments;
  for (size_t i = 1; i < 5 && !args[i].is_undefined(); ++i) arguments.positional.push_back(args[i]);
  std::vector<Value> out;
  const auto sequence = items_if_any(runtime, self);
  for (const Value& item : sequence->items) {
    runtime.charge(node_work);
    if (!path.is_undefined()) {
      Value value = path_of(runtime, item, path);
      out.push_back(value.is_undefined() && !missing.is_undefined() ? missing : value);
    } else {
      const std::string& filter = string_argument(runtime, args[0], "the filter of map");
      out.push_back(apply_filter(runtime, filter, item, arguments));
    }
  }
  return runtime.list(std::move(out));
}

// select and reject test the items, selectattr and rejectattr an attribute of each; without a
// test's name, by truth.
template <bool keeps, bool by_attribute>
Value filtered(Runtime& runtime, const Value& self, Args args) {
  constexpr size_t test = by_attribute ? 1 : 0;
  CallArguments arguments;
  if (!args[test + 1].is_undefined()) arguments.positional.push_back(args[test + 1]);
  std::vector<Value> out;
  const auto sequence = items_if_any(runtime, self);
  for (const Value& item : sequence->items) {
    runtime.charge(node_work);
    const Value value = by_attribute ? path_of(runtime, item, args[0]) : item;
    bool holds = false;
    if (args[test].is_undefined()) {
      holds = truth(value);
    } else {
      const std::string& name = string_argument(runtime, args[test], "a test's name");
      holds = apply_predicate(runtime, name, value, arguments);
    }
    if (holds == keeps) out.push_back(item);
  }
  return runtime.list(std::move(out));
}

Value same(Runtime& /*runtime*/, const Value& self, Args /*args*/) {
  return self;
}

}  // namespace

const BuiltinTable& filters() {
  static const BuiltinTable table = {
      {"abs", {absolute}},
      {"capitalize", {change_text<capitalize>}},
      {"count", {length}},
      {"d", {fallback, {"default_value", "boolean"}}},
      {"default", {fallback, {"default_value", "boolean"}}},
      {"dictsort", {sort_dict, {"case_sensitive", "by", "reverse"}}},
      {"first", {end_item<false>}},
      {"float", {to_real, {"default"}}},
      {"from_json", {parsed_json}},
      {"indent", {indent, {"width", "first", "blank"}}},
      {"int", {to_integer, {"default"}}},
      {"items", {items}},
      {"join", {join, {"d", "attribute"}}},
      {"last", {end_item<true>}},
      {"length", {length}},
      {"list", {to_list}},
      {"lower", {change_text<lower>}},
      {"map", {map, {"filter", "a", "b", "c", "d", "attribute", "default"}}},
      {"max", {extreme<true>, {"case_sensitive", "attribute"}}},
      {"min", {extreme<false>, {"case_sensitive", "attribute"}}},
      {"reject", {filtered<false, false>, {"test", "value"}}},
      {"rejectattr", {filtered<false, true>, {"attribute", "test", "value"}, 1}},
      {"replace", {replace_text, {"old", "new", "count"}, 2}},
      {"reverse", {reversed}},
      {"round", {round_number, {"precision", "method"}}},
      {"safe", {same}},  // nothing is escaped here
      {"select", {filtered<true, false>, {"test", "value"}}},
      {"selectattr", {filtered<true, true>, {"attribute", "test", "value"}, 1}},
      {"sort", {sort, {"reverse", "case_sensitive", "attribute"}}},
      {"string", {to_string}},
      {"sum", {sum, {"attribute", "start"}}},
      {"title", {title_words}},
      {"tojson", {json, {"ensure_ascii", "indent", "separators", "sort_keys"}}},
      {"trim", {trim, {"chars"}}},
      {"unique", {unique, {"case_sensitive", "attribute"}}},
      {"upper", {change_text<upper>}},
  };
  return table;
}

}  // namespace octavo::text::jinja
