// The methods of Python's str and dict, and those of loop objects, that templates call.
#include <algorithm>

#include "base/error.h"
#include "text/jinja_builtins.h"
#include "text/jinja_operations.h"
#include "text/jinja_text.h"

namespace octavo::text::jinja {
namespace {

using Args = const std::vector<Value>&;

bool is_given(const Value& value) {
  return !value.is_undefined() && !value.is_none();
}

const std::string& text_of(const Value& self) {
  return *self.string();
}

// --- str ---

template <bool left, bool right>
Value str_strip(Runtime& runtime, const Value& self, Args args) {
  if (!is_given(args[0]))
    return runtime.string(std::string(strip(text_of(self), nullptr, left, right)));
  const std::string_view chars = string_argument(runtime, args[0], "the characters to strip");
  return runtime.string(std::string(strip(text_of(self), &chars, left, right)));
}

template <std::string (*change)(std::string_view)>
Value str_change(Runtime& runtime, const Value& self, Args /*args*/) {
  return runtime.string(change(text_of(self)));
}

std::vector<std::string_view> split_at_spaces(Runtime& runtime, std::string_view text,
                                              uint64_t limit) {
  std::vector<std::string_view> parts;
  text = strip(text, nullptr, true, false);
  while (!text.empty()) {
    size_t end = 0;
    while (end < text.size() && parts.size() < limit) {
      const std::string_view piece = code_point_range(text.substr(end), 0, 1);
      if (is_blank(piece)) break;
      end += piece.size();
    }
    if (parts.size() >= limit) end = text.size();
    runtime.charge(item_work);
    parts.push_back(text.substr(0, end));
    text = strip(text.substr(end), nullptr, true, false);
  }
  return parts;
}

std::vector<std::string_view> split_at(Runtime& runtime, std::string_view text,
                                       std::string_view separator, uint64_t limit) {
  std::vector<std::string_view> parts;
  while (parts.size() < limit) {
    const size_t found = text.find(separator);
    if (found == std::string_view::npos) break;
    runtime.charge(item_work);
    parts.push_back(text.substr(0, found));
    text.remove_prefix(found + separator.size());
  }
  parts.push_back(text);
  return parts;
}

std::vector<std::string_view> split_at_from_right(Runtime& runtime, std::string_view text,
                                                  std::string_view separator, uint64_t limit) {
  std::vector<std::string_view> parts;
  while (parts.size() < limit) {
    const size_t found = text.rfind(separator);
    if (found == std::string_view::npos) break;
    runtime.charge(item_work);
    parts.push_back(text.substr(found + separator.size()));
    text = text.substr(0, found);
  }
  parts.push_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

Value string_list(Runtime& runtime, const std::vector<std::string_view>& parts,
                  bool is_tuple = false) {
  std::vector<Value> items;
  items.reserve(parts.size());
  for (const std::string_view part : parts) items.push_back(runtime.string(std::string(part)));
  return runtime.list(std::move(items), is_tuple);
}

template <bool from_right>
Value str_split(Runtime& runtime, const Value& self, Args args) {
  const int64_t given =
      args[1].is_undefined() ? -1 : integer_argument(runtime, args[1], "maxsplit");
  const uint64_t limit = given < 0 ? max_work : static_cast<uint64_t>(given);
  if (!is_given(args[0])) {
    if (from_right && given >= 0) runtime.fail("rsplit with a limit needs a separator");
    return string_list(runtime, split_at_spaces(runtime, text_of(self), limit));
  }
  const std::string& separator = string_argument(runtime, args[0], "a separator");
  if (separator.empty()) runtime.fail("the separator of a split is empty");
  runtime.charge_search(text_of(self), separator);
  return string_list(runtime, from_right
                                  ? split_at_from_right(runtime, text_of(self), separator, limit)
                                  : split_at(runtime, text_of(self), separator, limit));
}

// Before, at and behind the separator; without one the text and two empty strings.
template <bool from_right>
Value str_partition(Runtime& runtime, const Value& self, Args args) {
  const std::string_view text = text_of(self);
  const std::string& separator = string_argument(runtime, args[0], "a separator");
  if (separator.empty()) runtime.fail("the separator of a partition is empty");
  runtime.charge_search(text_of(self), separator);
  const size_t found = from_right ? text.rfind(separator) : text.find(separator);
  if (found != std::string_view::npos) {
    return string_list(
        runtime, {text.substr(0, found), separator, text.substr(found + separator.size())}, true);
  }
  if (from_right) return string_list(runtime, {"", "", text}, true);
  return string_list(runtime, {text, "", ""}, true);
}

Value str_splitlines(Runtime& runtime, const Value& self, Args args) {
  const bool keeps_ends = truth(args[0]);
  std::string_view text = text_of(self);
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of("\n\r\v\f"), text.size());
    size_t ending = end < text.size() ? 1 : 0;
    if (text.substr(end, 2) == "\r\n") ending = 2;
    runtime.charge(item_work);
    lines.push_back(text.substr(0, keeps_ends ? end + ending : end));
    text.remove_prefix(end + ending);
  }
  return string_list(runtime, lines);
}

bool has_affix(std::string_view text, std::string_view affix, bool at_start) {
  if (affix.size() > text.size()) return false;
  return at_start ? text.substr(0, affix.size()) == affix
                  : text.substr(text.size() - affix.size()) == affix;
}

// The affix may be a tuple of which one must fit.
template <bool at_start>
Value str_has_affix(Runtime& runtime, const Value& self, Args args) {
  const auto fits = [&](const Value& affix) {
    return has_affix(text_of(self), string_argument(runtime, affix, "a prefix or suffix"),
                     at_start);
  };
  if (!args[0].list()) return Value(fits(args[0]));
  const auto& affixes = args[0].list()->items;
  return Value(std::any_of(affixes.begin(), affixes.end(), fits));
}

template <bool at_start>
Value str_remove_affix(Runtime& runtime, const Value& self, Args args) {
  const std::string& affix = string_argument(runtime, args[0], "a prefix or suffix");
  const std::string& text = text_of(self);
  if (!has_affix(text, affix, at_start)) return self;
  const size_t kept = text.size() - affix.size();
  return runtime.string(at_start ? text.substr(affix.size()) : text.substr(0, kept));
}

Value str_replace(Runtime& runtime, const Value& self, Args args) {
  return apply_filter(runtime, "replace", self, {args, {}});
}

Value str_join(Runtime& runtime, const Value& self, Args args) {
  const auto items = items_of(runtime, args[0]);
  for (const Value& item : items->items) string_argument(runtime, item, "an item of a join");
  return apply_filter(runtime, "join", args[0], {{self}, {}});
}

// Indices count code points; -1 when the text is not there.
template <bool from_right>
Value str_find(Runtime& runtime, const Value& self, Args args) {
  const std::string_view text = text_of(self);
  const std::string& wanted = string_argument(runtime, args[0], "the text to find");
  runtime.charge_search(text_of(self), wanted);
  const size_t found = from_right ? text.rfind(wanted) : text.find(wanted);
  if (found == std::string_view::npos) return Value(int64_t{-1});
  return Value(static_cast<int64_t>(code_point_count(text.substr(0, found))));
}

Value str_count(Runtime& runtime, const Value& self, Args args) {
  const std::string& wanted = string_argument(runtime, args[0], "the text to count");
  runtime.charge_search(text_of(self), wanted);
  return Value(static_cast<int64_t>(occurrences(text_of(self), wanted)));
}

Value str_isspace(Runtime& /*runtime*/, const Value& self, Args /*args*/) {
  return Value(!text_of(self).empty() && is_blank(text_of(self)));
}

Value str_isdigit(Runtime& /*runtime*/, const Value& self, Args /*args*/) {
  const std::string& text = text_of(self);
  return Value(!text.empty() && text.find_first_not_of("0123456789") == std::string::npos);
}

// --- dict ---

Value dict_get(Runtime& runtime, const Value& self, Args args) {
  if (const Value* found = find_key(runtime, *self.dict(), args[0])) return *found;
  return args[1].is_undefined() ? Value(None{}) : args[1];
}

Value dict_items(Runtime& runtime, const Value& self, Args /*args*/) {
  std::vector<Value> items;
  for (const auto& [key, value] : self.dict()->entries) items.push_back(runtime.tuple(key, value));
  return runtime.list(std::move(items));
}

Value dict_keys(Runtime& runtime, const Value& self, Args /*args*/) {
  return Value(items_of(runtime, self));
}

Value dict_values(Runtime& runtime, const Value& self, Args /*args*/) {
  std::vector<Value> items;
  for (const auto& entry : self.dict()->entries) items.push_back(entry.second);
  return runtime.list(std::move(items));
}

Value dict_copy(Runtime& /*runtime*/, const Value& self, Args /*args*/) {
  return self;  // what cannot change need not be copied
}

// --- list ---

Value list_index(Runtime& runtime, const Value& self, Args args) {
  const auto& items = self.list()->items;
  for (size_t i = 0; i < items.size(); ++i) {
    if (equal(runtime, items[i], args[0])) return Value(static_cast<int64_t>(i));
  }
  runtime.fail("the item is not in the list");
}

Value list_count(Runtime& runtime, const Value& self, Args args) {
  const auto& items = self.list()->items;
  return Value(std::count_if(items.begin(), items.end(),
                             [&](const Value& item) { return equal(runtime, item, args[0]); }));
}

// Templates may not change the lists and dicts that they are given, nor their own: the sandbox of
// transformers refuses it too. The methods are there to say so.
Value refuse_change(Runtime& runtime, const Value& self, Args /*args*/) {
  runtime.fail("a template cannot change a {}; make a new one, with + or a literal",
               type_name(self));
}

// --- loop ---

Value loop_cycle(Runtime& runtime, const Value& self, Args args) {
  const auto end =
      std::find_if(args.begin(), args.end(), [](const Value& v) { return v.is_undefined(); });
  const auto count = static_cast<size_t>(end - args.begin());
  if (count == 0) runtime.fail("loop.cycle needs something to cycle through");
  return args[self.loop()->index % count];
}

}  // namespace

const BuiltinTable& methods_of(const Value& value) {
  static const BuiltinTable of_str = {
      {"strip", {str_strip<true, true>, {"chars"}}},
      {"lstrip", {str_strip<true, false>, {"chars"}}},
      {"rstrip", {str_strip<false, true>, {"chars"}}},
      {"lower", {str_change<lower>}},
      {"upper", {str_change<upper>}},
      {"title", {str_change<title>}},
      {"capitalize", {str_change<capitalize>}},
      {"split", {str_split<false>, {"sep", "maxsplit"}}},
      {"rsplit", {str_split<true>, {"sep", "maxsplit"}}},
      {"splitlines", {str_splitlines, {"keepends"}}},
      {"partition", {str_partition<false>, {"sep"}, 1}},
      {"rpartition", {str_partition<true>, {"sep"}, 1}},
      {"startswith", {str_has_affix<true>, {"prefix"}, 1}},
      {"endswith", {str_has_affix<false>, {"suffix"}, 1}},
      {"removeprefix", {str_remove_affix<true>, {"prefix"}, 1}},
      {"removesuffix", {str_remove_affix<false>, {"suffix"}, 1}},
      {"replace", {str_replace, {"old", "new", "count"}, 2}},
      {"join", {str_join, {"iterable"}, 1}},
      {"find", {str_find<false>, {"sub"}, 1}},
      {"rfind", {str_find<true>, {"sub"}, 1}},
      {"count", {str_count, {"sub"}, 1}},
      {"isspace", {str_isspace}},
      {"isdigit", {str_isdigit}},
  };
  static const BuiltinTable of_dict = {
      {"get", {dict_get, {"key", "default"}, 1}},
      {"items", {dict_items}},
      {"keys", {dict_keys}},
      {"values", {dict_values}},
      {"copy", {dict_copy}},
      {"clear", {refuse_change}},
      {"pop", {refuse_change, {"key", "default"}}},
      {"popitem", {refuse_change}},
      {"setdefault", {refuse_change, {"key", "default"}}},
      {"update", {refuse_change, {"other"}, 0, true}},
  };
  static const BuiltinTable of_list = {
      {"index", {list_index, {"value"}, 1}},  {"count", {list_count, {"value"}, 1}},
      {"append", {refuse_change, {"item"}}},  {"clear", {refuse_change}},
      {"extend", {refuse_change, {"items"}}}, {"insert", {refuse_change, {"index", "item"}}},
      {"pop", {refuse_change, {"index"}}},    {"remove", {refuse_change, {"item"}}},
      {"reverse", {refuse_change}},           {"sort", {refuse_change, {"reverse"}}},
  };
  static const BuiltinTable of_loop = {
      {"cycle", {loop_cycle, {"a", "b", "c", "d", "e", "f", "g", "h"}}},
  };
  static const BuiltinTable none;
  if (value.string()) return of_str;
  if (value.dict()) return of_dict;
  if (value.list()) return of_list;
  if (value.loop()) return of_loop;
  return none;
}

}  // namespace octavo::text::jinja
