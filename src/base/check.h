// OCTAVO_CHECK: stops the process when an invariant of the program is broken, in release builds
// too.
//
// Never for bad input: that is a Result with an Error (base/error.h).
#pragma once

#include <fmt/format.h>

#include <string>

namespace octavo {

// Prints "file:line: check failed: condition: detail" to standard error and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const std::string& detail);

}  // namespace octavo

// OCTAVO_CHECK(condition) or OCTAVO_CHECK(condition, "block {} has {} owners", id, owners).
#define OCTAVO_CHECK(condition, ...) \
  (static_cast<bool>(condition)      \
       ? static_cast<void>(0)        \
       : ::octavo::check_failed(__FILE__, __LINE__, #condition, fmt::format("" __VA_ARGS__)))
