#include "cli/line_editor.h"

#include <histedit.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace octavo::cli {
namespace {

// Empty when there is no place for it.
std::string history_path() {
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  std::filesystem::path folder;
  if (state != nullptr && *state == '/') {  // the specification: other values are ignored
    folder = state;
  } else if (home != nullptr && *home != '\0') {
    folder = std::filesystem::path(home) / ".local" / "state";
  } else {
    return "";
  }
  folder /= "octavo";
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  return error ? "" : (folder / "history").string();
}

// Keys beyond those that libedit knows: delete, control with left and right, search in the history.
void bind_keys(EditLine* editor) {
  el_set(editor, EL_EDITOR, "emacs");
  el_set(editor, EL_BIND, "\\e[3~", "ed-delete-next-char", nullptr);
  el_set(editor, EL_BIND, "\\e[1;5C", "em-next-word", nullptr);
  el_set(editor, EL_BIND, "\\e[1;5D", "ed-prev-word", nullptr);
  el_set(editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
}

}  // namespace

struct LineEditor::State {
  EditLine* editor = nullptr;
  History* history = nullptr;
  std::string history_file;
  std::string prompt;

  static char* show_prompt(EditLine* editor) {
    void* data = nullptr;
    el_get(editor, EL_CLIENTDATA, &data);
    return static_cast<State*>(data)->prompt.data();
  }
};

LineEditor::LineEditor() : state_(std::make_unique<State>()) {
  State& state = *state_;
  HistEvent event;
  state.history = history_init();
  history(state.history, &event, H_SETSIZE, history_lines);
  history(state.history, &event, H_SETUNIQUE, 1);
  state.history_file = history_path();
  if (!state.history_file.empty()) {
    history(state.history, &event, H_LOAD, state.history_file.c_str());
  }
  state.editor = el_init("octavo", stdin, stdout, stderr);
  el_set(state.editor, EL_CLIENTDATA, &state);
  el_set(state.editor, EL_PROMPT, &State::show_prompt);
  el_set(state.editor, EL_HIST, history, state.history);
  bind_keys(state.editor);
  el_source(state.editor, nullptr);  // the user's own ~/.editrc
}

LineEditor::~LineEditor() {
  el_end(state_->editor);
  history_end(state_->history);
}

LineEditor::Outcome LineEditor::read(const std::string& prompt, std::string& line) {
  state_->prompt = prompt;
  int count = 0;
  errno = 0;
  const char* typed = el_gets(state_->editor, &count);
  if (typed == nullptr || count <= 0) {
    const bool interrupted = count < 0 && errno == EINTR;
    std::fputs("\n", stdout);
    return interrupted ? Outcome::interrupted : Outcome::end;
  }
  line.assign(typed, static_cast<size_t>(count));
  if (line.ends_with('\n')) line.pop_back();
  remember(line);
  return Outcome::line;
}

// Saved at once: a terminal may be closed at any time.
void LineEditor::remember(const std::string& line) {
  if (line.find_first_not_of(" \t") == std::string::npos) return;
  HistEvent event;
  history(state_->history, &event, H_ENTER, line.c_str());
  if (!state_->history_file.empty()) {
    history(state_->history, &event, H_SAVE, state_->history_file.c_str());
  }
}

}  // namespace octavo::cli
