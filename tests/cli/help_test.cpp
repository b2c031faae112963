#include "cli/help.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <sstream>

#include "cli/command.h"

namespace octavo::cli {
namespace {

class HelpTest : public ::testing::Test {
 protected:
  HelpTest() : program_("", "octavo") {
    program_.footer("octavo help");
    commands_ = {add_run_command(program_),        add_generate_command(program_),
                 add_perplexity_command(program_), add_inspect_command(program_),
                 add_tokenize_command(program_),   add_simulate_command(program_),
                 add_serve_command(program_),      add_bench_command(program_),
                 add_make_model_command(program_), add_help_command(program_)};
  }

  CLI::App program_;
  std::vector<Command> commands_;
};

TEST_F(HelpTest, FitsEightyColumnsAndEndsWithExamples) {
  for (const Command& command : commands_) {
    const std::string text = help_text(*command.app);
    EXPECT_NE(text.find("\nExamples:\n  "), std::string::npos) << command.app->get_name();
    std::istringstream lines(text.substr(0, text.find("Examples:")));
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
  }
}

TEST_F(HelpTest, ShowsDefaults) {
  const std::string text = help_text(*commands_[1].app);
  EXPECT_NE(
      text.find("  --max-queued N          Most requests that wait; more are refused. [1024]"),
      std::string::npos)
      << text;
  EXPECT_NE(text.find("  --prefix-cache, --no-prefix-cache\n"), std::string::npos);
  EXPECT_NE(text.find("[auto]"), std::string::npos);
}

// As troff wants hyphens.
std::string escaped(const std::string& name) {
  std::string out;
  for (const char c : name) {
    if (c == '-') out += '\\';
    out += c;
  }
  return out;
}

TEST_F(HelpTest, TheManualHasEveryOptionOnce) {
  const std::string manual = manual_page(program_);
  for (const Command& command : commands_) {
    const std::string title = "\n.SS octavo " + escaped(command.app->get_name());
    EXPECT_NE(manual.find(title), std::string::npos) << title;
    for (const CLI::Option* option : command.app->get_options()) {
      if (option == command.app->get_help_ptr() || option->get_positional()) continue;
      const std::string line = "\n.B \\-\\-" + escaped(option->get_lnames().front());
      EXPECT_NE(manual.find(line), std::string::npos) << line;
    }
  }
  const size_t once = manual.find(".B \\-\\-kv\\-memory");
  EXPECT_EQ(manual.find(".B \\-\\-kv\\-memory", once + 1), std::string::npos);
}

}  // namespace
}  // namespace octavo::cli
