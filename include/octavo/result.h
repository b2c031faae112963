// Result<T>: a value, or an Error that says in one line what is wrong and where.
//
// Used wherever bad input or a missing resource is possible. A broken invariant of the program
// itself is not an Error: it is an OCTAVO_CHECK (src/base/check.h), which stops the process. Thread
// safety: plain values, as safe as T.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace octavo {

enum class ErrorKind {
  invalid_input,  // the file, request or flag is wrong and will stay wrong
  unsupported,    // well-formed, but this program cannot do it
  not_found,      // a file or name that is not there
  resource,       // out of memory, queue full: may succeed later or with other limits
  io,             // the operating system refused
};

struct Error {
  ErrorKind kind = ErrorKind::invalid_input;
  std::string message;  // one line: names the file, key, tensor, field or number at fault
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // The value; only after ok() was seen to be true (std::get throws otherwise).
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

}  // namespace octavo

// Returns the error of `expression` (a Result) from the enclosing function, which returns a Result
// too.
#define OCTAVO_TRY(expression)                                         \
  do {                                                                 \
    if (auto&& octavo_try_result = (expression); !octavo_try_result) { \
      return octavo_try_result.error();                                \
    }                                                                  \
  } while (false)

#define OCTAVO_CONCAT_INNER(a, b) a##b
#define OCTAVO_CONCAT(a, b) OCTAVO_CONCAT_INNER(a, b)

// NOLINTBEGIN(bugprone-macro-parentheses): a target may be a declaration, which takes none.
// OCTAVO_ASSIGN(auto file, open(path)): declares or assigns the value, or returns the error.
#define OCTAVO_ASSIGN(target, expression) \
  OCTAVO_ASSIGN_INNER(OCTAVO_CONCAT(octavo_assign_, __LINE__), target, expression)
#define OCTAVO_ASSIGN_INNER(temporary, target, expression) \
  auto temporary = (expression);                           \
  if (!temporary) {                                        \
    return temporary.error();                              \
  }                                                        \
  target = std::move(temporary).value()
// NOLINTEND(bugprone-macro-parentheses)
