#include "cli/command.h"

#include <fmt/format.h>

#include <CLI/TypeTools.hpp>
#include <cstdio>
#include <string>

namespace octavo::cli {

CLI::Validator between(double least, double most) {
  const auto check = [least, most](const std::string& text) -> std::string {
    double value = 0;
    const bool is_number = CLI::detail::lexical_cast(text, value);
    if (is_number && value >= least && value <= most) return {};
    return fmt::format("Value {} not in range {} to {}", text, least, most);
  };
  return {check, ""};
}

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
