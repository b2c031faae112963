// Jinja's tests, value is name(...), as one table.
#include "text/jinja_builtins.h"
#include "text/jinja_operations.h"
#include "text/jinja_text.h"

namespace octavo::text::jinja {
namespace {

using Args = const std::vector<Value>&;

template <bool (*holds)(const Value&)>
Value about(Runtime& /*runtime*/, const Value& self, Args /*args*/) {
  return Value(holds(self));
}

template <Comparison comparison>
Value compared(Runtime& runtime, const Value& self, Args args) {
  return Value(compare(runtime, comparison, self, args[0]));
}

template <int64_t remainder>
Value has_parity(Runtime& runtime, const Value& self, Args /*args*/) {
  return Value((integer_argument(runtime, self, "the number tested") & 1) == remainder);
}

bool is_defined(const Value& v) {
  return !v.is_undefined();
}
bool is_undefined(const Value& v) {
  return v.is_undefined();
}
bool is_none(const Value& v) {
  return v.is_none();
}
bool is_boolean(const Value& v) {
  return v.boolean() != nullptr;
}
bool is_true(const Value& v) {
  return v.boolean() && *v.boolean();
}
bool is_false(const Value& v) {
  return v.boolean() && !*v.boolean();
}
bool is_string(const Value& v) {
  return v.string() != nullptr;
}
bool is_number(const Value& v) {
  return v.is_number();
}
bool is_integer(const Value& v) {
  return v.integer() != nullptr;
}
bool is_float(const Value& v) {
  return v.real() != nullptr;
}
bool is_mapping(const Value& v) {
  return v.dict() != nullptr;
}
// As in Python's Jinja, an undefined value has a length of 0 and nothing to iterate over.
bool is_sequence(const Value& v) {
  return v.string() || v.list() || v.dict() || v.is_undefined();
}
bool is_iterable(const Value& v) {
  return is_sequence(v);
}
bool is_callable(const Value& v) {
  return v.function() != nullptr;
}

Value is_same(Runtime& runtime, const Value& self, Args args) {
  if (self.data.index() != args[0].data.index()) return Value(false);
  if (self.list()) return Value(self.list() == args[0].list());
  if (self.dict()) return Value(self.dict() == args[0].dict());
  return Value(equal(runtime, self, args[0]));
}

Value is_divisible(Runtime& runtime, const Value& self, Args args) {
  const Value remainder = arithmetic(runtime, Operator::modulo, self, args[0]);
  return Value(!truth(remainder));
}

Value is_lower(Runtime& runtime, const Value& self, Args /*args*/) {
  const std::string text = to_text(runtime, self);
  return Value(lower(text) == text && upper(text) != text);
}

Value is_upper(Runtime& runtime, const Value& self, Args /*args*/) {
  const std::string text = to_text(runtime, self);
  return Value(upper(text) == text && lower(text) != text);
}

Value is_filter(Runtime& /*runtime*/, const Value& self, Args /*args*/) {
  return Value(self.string() && filters().count(*self.string()) > 0);
}

Value is_test(Runtime& /*runtime*/, const Value& self, Args /*args*/) {
  return Value(self.string() && predicates().count(*self.string()) > 0);
}

}  // namespace

const BuiltinTable& predicates() {
  static const BuiltinTable table = {
      {"defined", {about<is_defined>}},
      {"undefined", {about<is_undefined>}},
      {"none", {about<is_none>}},
      {"boolean", {about<is_boolean>}},
      {"true", {about<is_true>}},
      {"false", {about<is_false>}},
      {"string", {about<is_string>}},
      {"number", {about<is_number>}},
      {"integer", {about<is_integer>}},
      {"float", {about<is_float>}},
      {"mapping", {about<is_mapping>}},
      {"sequence", {about<is_sequence>}},
      {"iterable", {about<is_iterable>}},
      {"callable", {about<is_callable>}},
      {"odd", {has_parity<1>}},
      {"even", {has_parity<0>}},
      {"divisibleby", {is_divisible, {"num"}, 1}},
      {"lower", {is_lower}},
      {"upper", {is_upper}},
      {"sameas", {is_same, {"other"}, 1}},
      {"filter", {is_filter}},
      {"test", {is_test}},
      {"eq", {compared<Comparison::equal>, {"other"}, 1}},
      {"equalto", {compared<Comparison::equal>, {"other"}, 1}},
      {"==", {compared<Comparison::equal>, {"other"}, 1}},
      {"ne", {compared<Comparison::not_equal>, {"other"}, 1}},
      {"!=", {compared<Comparison::not_equal>, {"other"}, 1}},
      {"lt", {compared<Comparison::less>, {"other"}, 1}},
      {"lessthan", {compared<Comparison::less>, {"other"}, 1}},
      {"<", {compared<Comparison::less>, {"other"}, 1}},
      {"le", {compared<Comparison::less_equal>, {"other"}, 1}},
      {"<=", {compared<Comparison::less_equal>, {"other"}, 1}},
      {"gt", {compared<Comparison::greater>, {"other"}, 1}},
      {"greaterthan", {compared<Comparison::greater>, {"other"}, 1}},
      {">", {compared<Comparison::greater>, {"other"}, 1}},
      {"ge", {compared<Comparison::greater_equal>, {"other"}, 1}},
      {">=", {compared<Comparison::greater_equal>, {"other"}, 1}},
      {"in", {compared<Comparison::in>, {"seq"}, 1}},
  };
  return table;
}

}  // namespace octavo::text::jinja
