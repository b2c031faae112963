// octavo help: the same texts as --help, and the manual page.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/command.h"
#include "cli/help.h"

namespace octavo::cli {
namespace {

struct Options {
  std::vector<std::string> command;
  bool man = false;
};

int run_help(const CLI::App& program, const Options& options) {
  if (options.man) {
    fmt::print("{}", manual_page(program));
    return exit_ok;
  }
  const CLI::App* app = &program;
  for (const std::string& word : options.command) {
    const std::vector<const CLI::App*> found =
        app->get_subcommands([&](const CLI::App* below) { return below->check_name(word); });
    if (found.empty() && app != &program) {
      return fail(invalid_input("'{}' has no command '{}'", app->get_name(), printable(word)));
    }
    if (found.empty()) {
      return fail(invalid_input("unknown command '{}'; octavo help lists them", printable(word)));
    }
    app = found.front();
  }
  fmt::print("{}", help_text(*app));
  return exit_ok;
}

}  // namespace

Command add_help_command(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* app = program.add_subcommand("help", "Explain the program or one of its commands.");
  app->add_option("COMMAND", options->command, "The command to explain.");
  app->add_flag("--man", options->man, "Print the manual page octavo(1), for troff.");
  app->footer(
      "octavo help run\n"
      "octavo help bench latency\n"
      "octavo help --man | man -l -");
  return {app, [&program, options] { return run_help(program, *options); }};
}

}  // namespace octavo::cli
