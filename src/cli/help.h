// Help texts and the manual page, both made from the options that the program parses.
//
// Pure functions of the app. A command's footer holds its examples, one a line.
#pragma once

#include <CLI/App.hpp>
#include <cstddef>
#include <string>

namespace octavo::cli {

// "bench latency"; of the program, "".
std::string name_of(const CLI::App& app);

// Whether there are commands below it.
bool has_commands(const CLI::App& app);

// Of the whole program, or of one of its subcommands; lines of at most 80 columns.
std::string help_text(const CLI::App& app);

// `text` in lines of at most 80 columns that start at column `indent` (the first one is there
// already); ends with a newline.
std::string wrapped(const std::string& text, size_t indent);

// octavo(1), in the man macros of troff.
std::string manual_page(const CLI::App& program);

}  // namespace octavo::cli
