#include "cli/program.h"

// All of CLI11: this file makes the App, whose parts are defined in headers.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/command.h"
#include "cli/help.h"

namespace octavo::cli {
namespace {

std::vector<Command> add_commands(CLI::App& program) {
  return {add_serve_command(program),      add_run_command(program),
          add_generate_command(program),   add_perplexity_command(program),
          add_inspect_command(program),    add_tokenize_command(program),
          add_simulate_command(program),   add_bench_command(program),
          add_make_model_command(program), add_help_command(program)};
}

// The command that the arguments name, the one below it if there are some, or the program itself.
const CLI::App& app_in_use(const CLI::App& program) {
  const std::vector<CLI::App*> parsed = program.get_subcommands();
  return parsed.empty() ? program : app_in_use(*parsed.front());
}

int usage_error(const CLI::App& program, const std::string& message) {
  const CLI::App& app = app_in_use(program);
  const bool is_program = app.get_parent() == nullptr;
  complain(fmt::format("{}{}; see octavo help{}", is_program ? "" : name_of(app) + ": ",
                       printable(message, 400), is_program ? "" : " " + name_of(app)));
  return exit_bad_input;
}

}  // namespace

int run_program(int argc, const char* const* argv) {
  CLI::App program("", "octavo");
  program.set_help_flag("-h,--help", "Print this help.");
  program.set_version_flag("--version", "octavo " OCTAVO_VERSION, "Print the version.");
  program.footer(
      "octavo serve model.gguf\n"
      "octavo run model.gguf\n"
      "octavo generate model.gguf --prompts prompts.txt > answers.jsonl\n"
      "octavo help run");
  const std::vector<Command> commands = add_commands(program);
  // At most one: in "octavo help run", "run" is an argument and not a second command.
  program.require_subcommand(0, 1);
  try {
    program.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", help_text(app_in_use(program)));
    return exit_ok;
  } catch (const CLI::CallForVersion& version) {
    fmt::print("{}\n", version.what());
    return exit_ok;
  } catch (const CLI::ExtrasError&) {
    const std::vector<std::string> extras = program.remaining(true);
    const std::string first = extras.empty() ? "" : extras.front();
    const CLI::App& app = app_in_use(program);
    const char* what = first.starts_with('-') ? "unknown flag"
                       : has_commands(app)    ? "unknown command"
                                              : "one argument too many:";
    return usage_error(program, fmt::format("{} '{}'", what, first));
  } catch (const CLI::ParseError& error) {
    return usage_error(program, error.what());
  }
  for (const Command& command : commands) {
    if (command.app->parsed()) return command.run();
  }
  return usage_error(program, "no command was given");
}

}  // namespace octavo::cli
