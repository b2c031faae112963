// The operations of template expressions, with Python's semantics. All that walk or make values
// charge the runtime's budget, and all throw TemplateError through it.
#pragma once

#include <compare>
#include <memory>
#include <string>
#include <string_view>

#include "text/jinja_ast.h"
#include "text/jinja_runtime.h"

namespace octavo::text::jinja {

std::string to_text(Runtime& runtime, const Value& value);  // str(): what {{ value }} prints
// str() without a copy where the value is a string already.
Value to_string_value(Runtime& runtime, const Value& value);

struct JsonStyle {
  bool ascii_only = false;
  bool has_indent = false;
  std::string indent;  // of one level
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sorts_keys = false;
};
std::string to_json(Runtime& runtime, const Value& value, const JsonStyle& style);

bool equal(Runtime& runtime, const Value& left, const Value& right);
// Unordered for NaN only; fails for types that Python cannot order.
std::partial_ordering order(Runtime& runtime, const Value& left, const Value& right);
const Value* find_key(Runtime& runtime, const Dict& dict, const Value& key);  // null: not there
bool contains(Runtime& runtime, const Value& container, const Value& item);
bool compare(Runtime& runtime, Comparison comparison, const Value& left, const Value& right);

Value arithmetic(Runtime& runtime, Operator op, const Value& left, const Value& right);
Value with_sign(Runtime& runtime, const Value& value, bool is_negative);

// object.name, object[index] and object[start:stop:step]: a missing name or index is undefined.
Value attribute(Runtime& runtime, const Value& object, const std::string& name);
Value subscript(Runtime& runtime, const Value& object, const Value& index);
Value slice(Runtime& runtime, const Value& object, const Value& start, const Value& stop,
            const Value& step);

// What a for loop over `value` visits: items, keys or code points.
std::shared_ptr<const List> items_of(Runtime& runtime, const Value& value);
size_t length_of(Runtime& runtime, const Value& value);

}  // namespace octavo::text::jinja
