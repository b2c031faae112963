// Calling built-in functions: binding arguments to parameters and checking them.
#include "text/jinja_builtins.h"

#include <algorithm>

#include "base/error.h"

namespace octavo::text::jinja {
namespace {

void bind_named(Runtime& runtime, std::string_view name, const Builtin& builtin,
                CallArguments& given, std::vector<Value>& bound) {
  for (auto& [key, value] : given.named) {
    const auto place = std::find(builtin.parameters.begin(), builtin.parameters.end(), key);
    if (place == builtin.parameters.end()) {
      runtime.fail("'{}' has no parameter '{}'", name, printable(key));
    }
    const auto index = static_cast<size_t>(place - builtin.parameters.begin());
    if (index < given.positional.size()) runtime.fail("'{}' is given '{}' twice", name, key);
    bound[index] = std::move(value);
  }
}

}  // namespace

Value call_builtin(Runtime& runtime, std::string_view name, const Builtin& builtin,
                   const Value& self, CallArguments arguments) {
  if (self.string()) runtime.charge(self.string()->size());  // few leave any of it unread
  const size_t parameters = builtin.parameters.size();
  if (arguments.positional.size() > parameters) {
    runtime.fail("'{}' takes at most {} arguments, not {}", name, parameters,
                 arguments.positional.size());
  }
  std::vector<Value> bound = arguments.positional;
  bound.resize(parameters);
  if (builtin.collects_named) {
    Entries entries;
    for (auto& [key, value] : arguments.named) {
      entries.emplace_back(runtime.string(key), std::move(value));
    }
    bound.push_back(runtime.dict(std::move(entries)));
  } else {
    bind_named(runtime, name, builtin, arguments, bound);
  }
  for (size_t i = 0; i < builtin.required; ++i) {
    const bool is_given =
        i < arguments.positional.size() ||
        std::any_of(arguments.named.begin(), arguments.named.end(),
                    [&](const auto& named) { return named.first == builtin.parameters[i]; });
    if (!is_given) runtime.fail("'{}' needs its argument '{}'", name, builtin.parameters[i]);
  }
  return builtin.apply(runtime, self, bound);
}

Value apply_filter(Runtime& runtime, const std::string& name, const Value& value,
                   CallArguments arguments) {
  const auto found = filters().find(name);
  if (found == filters().end()) runtime.fail("unknown filter '{}'", printable(name));
  return call_builtin(runtime, name, found->second, value, std::move(arguments));
}

bool apply_predicate(Runtime& runtime, const std::string& name, const Value& value,
                     CallArguments arguments) {
  const auto found = predicates().find(name);
  if (found == predicates().end()) runtime.fail("unknown test '{}'", printable(name));
  return truth(call_builtin(runtime, name, found->second, value, std::move(arguments)));
}

int64_t integer_argument(Runtime& runtime, const Value& value, std::string_view what) {
  runtime.require_defined(value);
  if (!value.integral()) runtime.fail("{} must be an int, not a {}", what, type_name(value));
  return value.as_integer();
}

const std::string& string_argument(Runtime& runtime, const Value& value, std::string_view what) {
  runtime.require_defined(value);
  if (!value.string()) runtime.fail("{} must be a str, not a {}", what, type_name(value));
  return *value.string();
}

}  // namespace octavo::text::jinja
