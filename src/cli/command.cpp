#include "cli/command.h"

#include <fmt/format.h>

#include <cstdio>

namespace octavo::cli {

void complain(std::string_view message) {
  // Not fmt::print, which throws: where standard error is closed, nobody can be told.
  const std::string line = fmt::format("octavo: {}\n", message);
  std::fwrite(line.data(), 1, line.size(), stderr);
}

int fail(const Error& error) {
  complain(error.message);
  const bool may_succeed_later = error.kind == ErrorKind::resource || error.kind == ErrorKind::io;
  return may_succeed_later ? exit_failed : exit_bad_input;
}

}  // namespace octavo::cli
