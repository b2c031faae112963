// The functions a template finds by name: range, namespace, dict, raise_exception, strftime_now.
#include <array>
#include <ctime>

#include "base/error.h"
#include "text/jinja_builtins.h"
#include "text/jinja_operations.h"

namespace octavo::text::jinja {
namespace {

using Args = const std::vector<Value>&;

Value range(Runtime& runtime, const Value& /*self*/, Args args) {
  const int64_t first = integer_argument(runtime, args[0], "the argument of range");
  const bool has_stop = !args[1].is_undefined();
  const int64_t start = has_stop ? first : 0;
  const int64_t stop = has_stop ? integer_argument(runtime, args[1], "the stop of range") : first;
  const int64_t step =
      args[2].is_undefined() ? 1 : integer_argument(runtime, args[2], "the step of range");
  if (step == 0) runtime.fail("the step of range is zero");
  std::vector<Value> items;
  int64_t value = start;
  while (step > 0 ? value < stop : value > stop) {
    runtime.charge(item_work);
    items.emplace_back(value);
    if (__builtin_add_overflow(value, step, &value)) break;
  }
  return runtime.list(std::move(items));
}

// dict(mapping or pairs, name=value, ...); the last argument holds the named ones.
Value make_dict(Runtime& runtime, const Value& /*self*/, Args args) {
  Entries entries;
  if (const Dict* dict = args[0].dict()) {
    entries = dict->entries;
  } else if (!args[0].is_undefined()) {
    const auto pairs = items_of(runtime, args[0]);
    for (const Value& pair : pairs->items) {
      const auto parts = items_of(runtime, pair);
      if (parts->items.size() != 2) runtime.fail("dict needs pairs of a key and a value");
      entries.emplace_back(parts->items[0], parts->items[1]);
    }
  }
  const Entries& named = args.back().dict()->entries;
  entries.insert(entries.end(), named.begin(), named.end());
  return runtime.dict(std::move(entries));
}

Value make_namespace(Runtime& runtime, const Value& self, Args args) {
  const Value attributes = make_dict(runtime, self, args);
  Namespace* space = runtime.make_namespace();
  for (const auto& [key, value] : attributes.dict()->entries) {
    space->attributes.insert_or_assign(string_argument(runtime, key, "an attribute's name"), value);
  }
  return Value(space);
}

// The template's own message, which its author wrote for the user: nothing is put in front of it.
Value raise_exception(Runtime& runtime, const Value& /*self*/, Args args) {
  const std::string& message = string_argument(runtime, args[0], "the message of raise_exception");
  throw TemplateError{ErrorKind::invalid_input, 0, message};
}

// Formats one letter at a time: strftime's behaviour for unknown letters is undefined.
Value strftime_now(Runtime& runtime, const Value& /*self*/, Args args) {
  constexpr std::string_view letters = "aAbBcdeHIjmMpSUwWxXyY%";
  const std::string& format = string_argument(runtime, args[0], "the format of strftime_now");
  std::string out;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    std::string letter = "%";
    if (i + 1 < format.size() && format[i + 1] == '-') letter += format[++i];  // without padding
    if (++i >= format.size() || letters.find(format[i]) == std::string_view::npos) {
      runtime.fail("strftime_now cannot format '{}'", printable(format));
    }
    letter += format[i];
    std::array<char, 128> buffer{};
    const size_t length =
        std::strftime(buffer.data(), buffer.size(), letter.c_str(), &runtime.now());
    runtime.charge(length);
    out.append(buffer.data(), length);
  }
  return runtime.string(std::move(out));
}

}  // namespace

const BuiltinTable& globals() {
  static const BuiltinTable table = {
      {"dict", {make_dict, {"mapping"}, 0, true}},
      {"namespace", {make_namespace, {"mapping"}, 0, true}},
      {"raise_exception", {raise_exception, {"message"}, 1}},
      {"range", {range, {"start", "stop", "step"}, 1}},
      {"strftime_now", {strftime_now, {"format"}, 1}},
  };
  return table;
}

}  // namespace octavo::text::jinja
