// The octavo program.
#include <fmt/format.h>

#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>

#include "cli/command.h"
#include "cli/program.h"

int main(int argc, char** argv) {
  // A reader that went away (octavo ... | head) ends the program without a word, even when it was
  // started by something that ignores the signal.
  std::signal(SIGPIPE, SIG_DFL);
  // Only how characters are encoded: numbers keep their points.
  std::setlocale(LC_CTYPE, "");
  int code = octavo::cli::exit_failed;
  try {
    code = octavo::cli::run_program(argc, argv);
  } catch (const std::exception& error) {  // no memory, or an output that cannot be written
    octavo::cli::complain(error.what());
    return octavo::cli::exit_failed;
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    octavo::cli::complain(fmt::format("standard output: {}", std::strerror(errno)));
    return octavo::cli::exit_failed;
  }
  return code;
}
