// LineEditor: lines typed at a terminal, with editing and a history that outlives the program.
//
// Wraps libedit; owns the terminal's settings while a line is read. The history is kept in
// ${XDG_STATE_HOME:-~/.local/state}/octavo/history, at most history_lines long; where that cannot
// be read or written, it lasts as long as the program. One at a time, main thread only. Needs an
// Interrupt (cli/interrupt.h) for Ctrl-C to come back as `interrupted`.
#pragma once

#include <memory>
#include <string>

namespace octavo::cli {

class LineEditor {
 public:
  static constexpr int history_lines = 1000;

  enum class Outcome { line, interrupted, end };

  LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;
  ~LineEditor();

  // Shows the prompt and waits. `line` gets what was typed, without its newline.
  Outcome read(const std::string& prompt, std::string& line);

 private:
  struct State;
  void remember(const std::string& line);

  std::unique_ptr<State> state_;
};

}  // namespace octavo::cli
