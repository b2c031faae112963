// What a command may do with the terminal: is there one, may it be coloured, what may be sent to
// it.
//
// Functions without state, but for QuietInput.
#pragma once

#include <termios.h>

#include <cstdio>
#include <string>
#include <string_view>

namespace octavo::cli {

bool is_terminal(FILE* file);

// How wide it is; 80 where that is not known.
int terminal_columns(FILE* file);

// A terminal, and NO_COLOR (no-color.org) is not set.
bool may_colour(FILE* file);

// Faint, for what is said beside the answer.
std::string dim(std::string_view text, bool colour);

// `text`, whole UTF-8 characters, without the control characters that could steer a terminal: all
// but newline and tab.
std::string without_controls(std::string_view text);

// While it lives, what is typed is not shown and waits, key by key, for the next reader: an answer
// on the screen stays whole. Signals (Ctrl-C) work as ever. Does nothing where standard input is
// not a terminal. One at a time, main thread.
class QuietInput {
 public:
  QuietInput();
  QuietInput(const QuietInput&) = delete;
  QuietInput& operator=(const QuietInput&) = delete;
  ~QuietInput();

 private:
  bool is_changed_ = false;
  termios previous_ = {};
};

}  // namespace octavo::cli
