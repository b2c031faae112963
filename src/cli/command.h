// What the program's commands have in common: how they are made, how they end, how they complain.
//
// A command is made by a function that adds its options to the program's CLI::App and gives back
// what to run once they are parsed. Everything here is called from the main thread.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Validators.hpp>
#include <functional>
#include <string_view>

#include "octavo/result.h"

namespace octavo::cli {

enum ExitCode : int {
  exit_ok = 0,
  exit_failed = 1,         // at run time: out of memory, a file that cannot be written
  exit_bad_input = 2,      // usage, or a file that is not what it should be
  exit_interrupted = 130,  // by Ctrl-C
};

struct Command {
  CLI::App* app = nullptr;  // owned by the program's app
  std::function<int()> run;
};

Command add_run_command(CLI::App& program);
Command add_serve_command(CLI::App& program);
Command add_generate_command(CLI::App& program);
Command add_perplexity_command(CLI::App& program);
Command add_inspect_command(CLI::App& program);
Command add_tokenize_command(CLI::App& program);
Command add_simulate_command(CLI::App& program);
Command add_make_model_command(CLI::App& program);
Command add_bench_command(CLI::App& program);
Command add_help_command(CLI::App& program);

// A check of numbers that leaves the type's name in the help alone, which CLI::Range replaces, and
// that says its bounds as short as they can be said.
CLI::Validator between(double least, double most);

// Prints "octavo: message" on standard error.
void complain(std::string_view message);
// Complains and gives the exit code for this kind of error.
int fail(const Error& error);

}  // namespace octavo::cli
