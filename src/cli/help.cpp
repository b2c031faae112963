#include "cli/help.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>
#include <utility>
#include <vector>

namespace octavo::cli {
namespace {

constexpr size_t kWidth = 80;
constexpr size_t kIndent = 26;

constexpr const char* kWhat =
    "Octavo runs GGUF language models for many requests at once. The attention keys and values lie "
    "in blocks that are allocated as sequences grow and shared where prompts agree.";

// "--top-k N", "--prefix-cache, --no-prefix-cache", "MODEL".
std::string names_of(const CLI::Option& option) {
  if (option.get_positional()) return option.get_name();
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  const bool has_value = option.get_expected_max() > 0 && option.get_items_expected_max() > 0;
  return fmt::format("{}{}", fmt::join(names, ", "),
                     has_value ? " " + option.get_type_name() : std::string());
}

std::string description_of(const CLI::Option& option) {
  const std::string value = option.get_default_str();
  if (value.empty()) return option.get_description();
  return fmt::format("{} [{}]", option.get_description(), value);
}

std::string entry(const std::string& name, const std::string& description) {
  std::string out = "  " + name;
  if (out.size() + 2 > kIndent) {
    out += "\n" + std::string(kIndent, ' ');
  } else {
    out.resize(kIndent, ' ');
  }
  return out + wrapped(description, kIndent);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::vector<const CLI::Option*> options_of(const CLI::App& app, const std::string& group) {
  return app.get_options([&group](const CLI::Option* option) {
    return option->nonpositional() && option->get_group() == group;
  });
}

std::vector<const CLI::Option*> positionals_of(const CLI::App& app) {
  return app.get_options([](const CLI::Option* option) { return option->get_positional(); });
}

// "octavo run [OPTIONS] MODEL"
std::string usage_of(const CLI::App& app) {
  std::string usage = "octavo";
  if (app.get_parent() != nullptr) usage += " " + name_of(app);
  if (has_commands(app)) return usage + " COMMAND ...";
  usage += " [OPTIONS]";
  for (const CLI::Option* option : positionals_of(app)) {
    usage += option->get_required() ? " " + option->get_name() : " [" + option->get_name() + "]";
  }
  return usage;
}

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

// Those that can be run: of a command with others below it, these.
std::vector<const CLI::App*> runnable_commands(const CLI::App& program) {
  std::vector<const CLI::App*> runnable;
  for (const CLI::App* command : commands_of(program)) {
    if (!has_commands(*command)) runnable.push_back(command);
    for (const CLI::App* below : commands_of(*command)) runnable.push_back(below);
  }
  return runnable;
}

// Text for troff: no backslash, and no line that it would take for a request.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out.starts_with('.') || out.starts_with('\'') ? "\\&" + out : out;
}

std::string manual_entry(const CLI::Option& option) {
  return fmt::format(".TP\n.B {}\n{}\n", escaped(names_of(option)),
                     escaped(description_of(option)));
}

// Groups that commands share; the manual lists them once, as the first command that has them does.
constexpr std::pair<const char*, const char*> kSharedGroups[] = {{"Engine", "ENGINE OPTIONS"},
                                                                 {"Sampling", "SAMPLING OPTIONS"}};

std::vector<const CLI::Option*> shared_options(const CLI::App& program, const std::string& group) {
  for (const CLI::App* command : runnable_commands(program)) {
    std::vector<const CLI::Option*> options = options_of(*command, group);
    if (!options.empty()) return options;
  }
  return {};
}

// The shared list says all there is to say about this option.
bool is_listed(const std::vector<const CLI::Option*>& shared, const CLI::Option& option) {
  return std::any_of(shared.begin(), shared.end(), [&option](const CLI::Option* listed) {
    return names_of(*listed) == names_of(option) &&
           listed->get_default_str() == option.get_default_str();
  });
}

std::string manual_command(const CLI::App& program, const CLI::App& command) {
  std::string out =
      fmt::format(".SS {}\n{}\n", escaped(usage_of(command)), escaped(command.get_description()));
  for (const CLI::Option* option : positionals_of(command)) out += manual_entry(*option);
  std::vector<const CLI::Option*> listed;
  std::string takes;
  for (const auto& [group, title] : kSharedGroups) {
    if (options_of(command, group).empty()) continue;
    const std::vector<const CLI::Option*> shared = shared_options(program, group);
    listed.insert(listed.end(), shared.begin(), shared.end());
    takes += fmt::format("{}\n.B {}\n", takes.empty() ? "The" : "and the", title);
  }
  for (const CLI::Option* option : command.get_options()) {
    const bool is_own = option->nonpositional() && option != command.get_help_ptr();
    if (is_own && !is_listed(listed, *option)) out += manual_entry(*option);
  }
  if (!takes.empty()) out += ".PP\n" + takes + "below are taken too.\n";
  out += ".PP\n.EX\n";
  for (const std::string& line : lines_of(command.get_footer())) out += escaped(line) + "\n";
  return out + ".EE\n";
}

constexpr const char* kManualEnd = R"(.SH ENVIRONMENT
.TP
.B OCTAVO_FORCE_ISA
The instruction set of the CPU kernels, in place of the best this machine has:
scalar, avx2, avx512 or neon.
.TP
.B NO_COLOR
When set, nothing is coloured.
.SH FILES
.TP
.I ~/.local/state/octavo/history
The lines typed in
.BR "octavo run" ;
the folder follows XDG_STATE_HOME.
.SH EXIT STATUS
0: done. 1: failed at run time. 2: wrong usage, or a bad file. 130: interrupted.
)";

}  // namespace

std::string name_of(const CLI::App& app) {
  const CLI::App* parent = app.get_parent();
  if (parent == nullptr) return "";
  return parent->get_parent() == nullptr ? app.get_name() : name_of(*parent) + " " + app.get_name();
}

bool has_commands(const CLI::App& app) {
  return !app.get_subcommands([](const CLI::App*) { return true; }).empty();
}

std::string wrapped(const std::string& text, size_t indent) {
  std::istringstream words(text);
  std::string out;
  size_t column = indent;
  for (std::string word; words >> word;) {
    if (column > indent && column + 1 + word.size() > kWidth) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      out += " ";
      column += 1;
    }
    out += word;
    column += word.size();
  }
  return out + "\n";
}

std::string help_text(const CLI::App& app) {
  std::string out = wrapped("Usage: " + usage_of(app), 0) + "\n";
  const bool is_program = app.get_parent() == nullptr;
  out += wrapped(is_program ? kWhat : app.get_description(), 0);
  const std::vector<const CLI::Option*> positionals = positionals_of(app);
  if (!positionals.empty()) out += "\n";
  for (const CLI::Option* option : positionals) {
    out += entry(names_of(*option), description_of(*option));
  }
  if (has_commands(app)) out += "\nCommands:\n";
  for (const CLI::App* command : commands_of(app)) {
    out += entry(command->get_name(), command->get_description());
  }
  for (const std::string& group : app.get_groups()) {
    const std::vector<const CLI::Option*> options = options_of(app, group);
    if (!options.empty()) out += "\n" + group + ":\n";
    for (const CLI::Option* option : options) {
      out += entry(names_of(*option), description_of(*option));
    }
  }
  out += "\nExamples:\n";
  for (const std::string& line : lines_of(app.get_footer())) out += "  " + line + "\n";
  return out;
}

std::string manual_page(const CLI::App& program) {
  std::string out = fmt::format(
      ".TH OCTAVO 1 \"\" \"octavo {}\" \"User Commands\"\n"
      ".SH NAME\noctavo \\- run GGUF language models for many requests at once\n"
      ".SH SYNOPSIS\n.B {}\n.SH DESCRIPTION\n{}\n.SH COMMANDS\n",
      OCTAVO_VERSION, escaped(usage_of(program)), escaped(kWhat));
  for (const CLI::App* command : runnable_commands(program))
    out += manual_command(program, *command);
  for (const auto& [group, title] : kSharedGroups) {
    out += fmt::format(".SH {}\n", title);
    for (const CLI::Option* option : shared_options(program, group)) out += manual_entry(*option);
  }
  return out + kManualEnd;
}

}  // namespace octavo::cli
