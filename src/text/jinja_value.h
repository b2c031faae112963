// The values a template computes with: Python's none, bool, int, float, str, list, tuple and dict,
// Jinja's undefined and namespace, loop objects and functions.
//
// Values are cheap to copy: containers are shared and immutable, as in the sandbox of Hugging
// Face's transformers, where a template cannot change a list or dict either. Each container knows
// how deep it nests, so that no walk over it (nor its destruction) recurses without bound.
// Namespaces alone are mutable; the Runtime of one render owns them (jinja_runtime.h), Values point
// to them. Immutable values may be shared between threads.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace octavo::text::jinja {

struct Value;
struct Builtin;         // jinja_builtins.h
struct MacroStatement;  // jinja_ast.h
struct Scope;           // jinja_interpreter.h

struct Undefined {
  std::shared_ptr<const std::string> reason;  // "'x' is undefined"; null for an argument not given
};
struct None {};

struct List;
struct Dict;
struct Loop;
struct Function;
struct Namespace;

struct Value {
  using Data =
      std::variant<Undefined, None, bool, int64_t, double, std::shared_ptr<const std::string>,
                   std::shared_ptr<const List>, std::shared_ptr<const Dict>,
                   std::shared_ptr<const Loop>, std::shared_ptr<const Function>, Namespace*>;

  Value() = default;  // undefined
  Value(Data initial) : data(std::move(initial)) {}

  bool is_undefined() const { return std::holds_alternative<Undefined>(data); }
  bool is_none() const { return std::holds_alternative<None>(data); }
  bool is_number() const { return integral() || std::holds_alternative<double>(data); }
  bool integral() const { return std::holds_alternative<int64_t>(data) || boolean(); }

  // Null unless the value is of that type. The pointers live as long as the value.
  const bool* boolean() const { return std::get_if<bool>(&data); }
  const int64_t* integer() const { return std::get_if<int64_t>(&data); }
  const double* real() const { return std::get_if<double>(&data); }
  const std::string* string() const { return shared<std::string>(); }
  const List* list() const { return shared<List>(); }
  const Dict* dict() const { return shared<Dict>(); }
  const Loop* loop() const { return shared<Loop>(); }
  const Function* function() const { return shared<Function>(); }
  Namespace* name_space() const {
    auto* const* held = std::get_if<Namespace*>(&data);
    return held ? *held : nullptr;
  }

  int64_t as_integer() const;  // of an integral value: Python's bool counts as 0 or 1
  double as_real() const;      // of a number
  int depth() const;           // 0 for scalars, 1 for a flat list, ...

  Data data;

 private:
  template <class T>
  const T* shared() const {
    const auto* held = std::get_if<std::shared_ptr<const T>>(&data);
    return held ? held->get() : nullptr;
  }
};

using Entries = std::vector<std::pair<Value, Value>>;

// Made by Runtime::list and Runtime::dict, which keep `depth` within max_value_depth.
struct List {
  std::vector<Value> items;
  bool is_tuple = false;
  int depth = 1;
};

struct Dict {
  Entries entries;                                   // in order of first insertion; keys are unique
  std::map<std::string, size_t, std::less<>> index;  // key_text of a key -> its place in entries
  int depth = 1;

  const Value* find(const Value& key) const;
};

// The text under which a key is found: equal exactly for keys that Python holds equal (1, 1.0 and
// True are one key). False for what cannot be a key.
bool key_text(const Value& key, std::string& text);

struct Loop {
  std::shared_ptr<const List> items;
  size_t index = 0;  // advanced by the for statement that made it
};

// Something that can be called: a built-in function, a method bound to its object, or a macro.
struct Function {
  std::string name;
  const Builtin* builtin = nullptr;  // or
  const MacroStatement* macro = nullptr;
  Value self;
  // Where a macro looks names up. Weak, because that scope usually holds the macro; the scope
  // outlives every call that the template can write except through a namespace, and then the
  // outermost scope stands in.
  std::weak_ptr<Scope> scope;
};

struct Namespace {
  std::map<std::string, Value, std::less<>> attributes;
};

bool truth(const Value& value);
std::string_view type_name(const Value& value);  // as Python calls it, for errors

}  // namespace octavo::text::jinja
