// What a command may do with the terminal: is there one, may it be coloured, what may be sent to
// it.
//
// Stateless.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace octavo::cli {

bool is_terminal(FILE* file);

// A terminal, and NO_COLOR (no-color.org) is not set.
bool may_colour(FILE* file);

// Faint, for what is said beside the answer.
std::string dim(std::string_view text, bool colour);

// `text`, whole UTF-8 characters, without the control characters that could steer a terminal: all
// but newline and tab.
std::string without_controls(std::string_view text);

}  // namespace octavo::cli
