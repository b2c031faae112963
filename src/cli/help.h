// Help texts and the manual page, both made from the options that the program parses.
//
// Pure functions of the app. A command's footer holds its examples, one a line.
#pragma once

#include <CLI/App.hpp>
#include <string>

namespace octavo::cli {

// Of the whole program, or of one of its subcommands; lines of at most 80 columns.
std::string help_text(const CLI::App& app);

// octavo(1), in the man macros of troff.
std::string manual_page(const CLI::App& program);

}  // namespace octavo::cli
