// Makers of Error values with fmt formatting: return invalid_input("{}: tensor '{}': ...", path,
// name).
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

#include "octavo/result.h"

namespace octavo {

template <class... Args>
Error invalid_input(fmt::format_string<Args...> format, Args&&... args) {
  return {ErrorKind::invalid_input, fmt::format(format, std::forward<Args>(args)...)};
}

template <class... Args>
Error unsupported(fmt::format_string<Args...> format, Args&&... args) {
  return {ErrorKind::unsupported, fmt::format(format, std::forward<Args>(args)...)};
}

template <class... Args>
Error not_found(fmt::format_string<Args...> format, Args&&... args) {
  return {ErrorKind::not_found, fmt::format(format, std::forward<Args>(args)...)};
}

template <class... Args>
Error resource_error(fmt::format_string<Args...> format, Args&&... args) {
  return {ErrorKind::resource, fmt::format(format, std::forward<Args>(args)...)};
}

template <class... Args>
Error io_error(fmt::format_string<Args...> format, Args&&... args) {
  return {ErrorKind::io, fmt::format(format, std::forward<Args>(args)...)};
}

// `text` from outside made fit for a one-line message: control bytes and broken UTF-8 escaped, at
// most `limit` bytes kept.
std::string printable(std::string_view text, size_t limit = 80);

}  // namespace octavo
