#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/utf8.h"

namespace octavo::cli {
namespace {

bool is_control(char32_t character) {
  if (character == '\n' || character == '\t') return false;
  // C0, delete, and C1: some terminals take U+009B for the start of an escape sequence.
  return character < 0x20 || (character >= 0x7F && character < 0xA0);
}

}  // namespace

bool is_terminal(FILE* file) {
  return isatty(fileno(file)) == 1;
}

int terminal_columns(FILE* file) {
  winsize size = {};
  const bool known = ioctl(fileno(file), TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

bool may_colour(FILE* file) {
  const char* refused = std::getenv("NO_COLOR");
  return is_terminal(file) && (refused == nullptr || *refused == '\0');
}

std::string dim(std::string_view text, bool colour) {
  return colour ? "\x1b[2m" + std::string(text) + "\x1b[0m" : std::string(text);
}

std::string without_controls(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t length = utf8_sequence_length(text.substr(at));
    // A byte that is no character could be a C1 control in a terminal that does not speak UTF-8.
    if (length > 0 && !is_control(decode_utf8(text.substr(at), length))) {
      out += text.substr(at, length);
    }
    at += std::max<size_t>(length, 1);
  }
  return out;
}

QuietInput::QuietInput() {
  if (tcgetattr(STDIN_FILENO, &previous_) != 0) return;
  termios quiet = previous_;
  quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON);
  is_changed_ = tcsetattr(STDIN_FILENO, TCSANOW, &quiet) == 0;
}

QuietInput::~QuietInput() {
  if (is_changed_) tcsetattr(STDIN_FILENO, TCSANOW, &previous_);
}

}  // namespace octavo::cli
