// The program: its commands and flags, parsed and dispatched.
#pragma once

namespace octavo::cli {

// Runs the command that the arguments name; the result is the process's exit code (ExitCode).
int run_program(int argc, const char* const* argv);

}  // namespace octavo::cli
