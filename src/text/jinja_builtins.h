// The functions that the language brings along: filters (value | name), predicates (value is name;
// "tests" to Jinja), methods (value.name()) and globals (name()). Tables are constant and shared.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja_runtime.h"

namespace octavo::text::jinja {

struct CallArguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

struct Builtin {
  // `self` is what stands before the | or the dot. One argument per parameter; undefined when it
  // was not given.
  using Apply = Value (*)(Runtime&, const Value& self, const std::vector<Value>& arguments);
  Apply apply;
  std::vector<std::string_view> parameters = {};
  size_t required = 0;          // the first so many must be given
  bool collects_named = false;  // takes any named arguments, as one dict
};
using BuiltinTable = std::map<std::string_view, Builtin>;

const BuiltinTable& filters();
const BuiltinTable& predicates();
const BuiltinTable& globals();
const BuiltinTable& methods_of(const Value& value);  // an empty table for types without methods

Value call_builtin(Runtime& runtime, std::string_view name, const Builtin& builtin,
                   const Value& self, CallArguments arguments);
Value apply_filter(Runtime& runtime, const std::string& name, const Value& value,
                   CallArguments arguments);
bool apply_predicate(Runtime& runtime, const std::string& name, const Value& value,
                     CallArguments arguments);

// Checked access to an argument: `what` names it in the error.
int64_t integer_argument(Runtime& runtime, const Value& value, std::string_view what);
const std::string& string_argument(Runtime& runtime, const Value& value, std::string_view what);

}  // namespace octavo::text::jinja
