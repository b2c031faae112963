#include "cli/console.h"

#include <fmt/format.h>

#include <cstdio>
#include <string_view>

#include "base/error.h"
#include "cli/cache_picture.h"
#include "cli/command.h"
#include "cli/line_assembler.h"
#include "cli/line_editor.h"
#include "cli/terminal.h"
#include "engine/request_json.h"

namespace octavo::cli {
namespace {

constexpr const char* kHelp = R"(/help           this list
/clear          start a new conversation
/system TEXT    set the system message; without TEXT, take it away
/stats          what the engine is doing
/cache          the KV cache, block by block
/exit           leave; so does Ctrl-D
A line that ends in \ goes on in the next one; a line of """ opens and closes a
block of several lines. Ctrl-C stops the answer, or clears the line.
)";

class Console {
 public:
  Console(Engine& engine, ChatOptions options, Interrupt& interrupt)
      : engine_(engine),
        is_raw_(options.raw),
        chat_(engine, std::move(options)),
        interrupt_(interrupt),
        colour_(may_colour(stdout)) {}

  void run() {
    greet();
    std::string line;
    while (!is_leaving_) {
      interrupt_.clear();
      const auto outcome = editor_.read(assembler_.in_progress() ? ". " : "> ", line);
      if (outcome == LineEditor::Outcome::end) return;
      if (outcome == LineEditor::Outcome::interrupted) {
        assembler_.clear();
        continue;
      }
      if (const auto message = assembler_.feed(line)) handle(*message);
    }
  }

 private:
  void say(std::string_view text) { fmt::print("{}\n", dim(text, colour_)); }

  void greet() {
    const ModelInfo& model = engine_.model();
    say(fmt::format("{} · {} · {} · context {}", without_controls(model.name), model.architecture,
                    model.backend, model.context_length));
    if (model.chat_template.empty() && !is_raw_) {
      say("The file has no chat template: ChatML is used. --raw completes plain text.");
    }
    say("/help lists the commands.");
  }

  void handle(const std::string& message) {
    if (message.find_first_not_of(" \t\n") == std::string::npos) return;
    if (message.starts_with('/') && message.find('\n') == std::string::npos) {
      command(message);
    } else {
      answer(message);
    }
  }

  void command(const std::string& line) {
    const size_t space = line.find(' ');
    const std::string name = line.substr(0, space);
    const size_t start = line.find_first_not_of(' ', space);
    const std::string rest =
        space == std::string::npos || start == std::string::npos ? "" : line.substr(start);
    if (name == "/help") {
      fmt::print("{}", kHelp);
    } else if (name == "/clear") {
      chat_.clear();
      say("A new conversation.");
    } else if (name == "/system") {
      chat_.set_system(rest);
      say(rest.empty() ? "No system message." : "System message set.");
    } else if (name == "/stats") {
      show_stats();
    } else if (name == "/cache") {
      fmt::print("{}", cache_picture(engine_.cache_snapshot(), engine_.stats(),
                                     terminal_columns(stdout), colour_));
    } else if (name == "/exit") {
      is_leaving_ = true;
    } else {
      complain(fmt::format("unknown command '{}'; /help lists them", printable(name)));
    }
  }

  void show_stats() {
    const EngineStats stats = engine_.stats();
    const double mib = static_cast<double>(stats.block_bytes) / (1024.0 * 1024.0);
    fmt::print(
        "conversation   {} turns\n"
        "prompt tokens  {} computed, {} found in the cache\n"
        "answer tokens  {}\n"
        "KV blocks      {} in use, {} cached, {} in all ({:.1f} MiB)\n"
        "memory held    {:.1f} MiB\n"
        "steps          {}, preemptions {}\n",
        chat_.turns(), stats.prompt_tokens, stats.prefix_hit_tokens, stats.generated_tokens,
        stats.blocks_in_use, stats.blocks_cached, stats.blocks_total,
        static_cast<double>(stats.blocks_total) * mib,
        static_cast<double>(stats.blocks_total - stats.blocks_uncommitted) * mib, stats.steps,
        stats.preemptions);
  }

  void answer(const std::string& message) {
    char last = '\n';
    const auto write = [&last](std::string_view text) {
      const std::string shown = without_controls(text);
      if (shown.empty()) return;
      fmt::print("{}", shown);
      std::fflush(stdout);
      last = shown.back();
    };
    const Result<Answer> answer = [&] {
      const QuietInput quiet;
      return chat_.ask(message, interrupt_, write);
    }();
    if (!answer) {
      complain(answer.error().message + (chat_.turns() > 0 ? " (/clear starts anew)" : ""));
      return;
    }
    if (last != '\n') fmt::print("\n");
    say(figures_line(*answer));
    const int64_t length = answer->prompt_tokens + answer->tokens;
    if (answer->finish == FinishReason::length && length >= engine_.model().context_length) {
      say("The context is full. /clear starts a new conversation.");
    }
  }

  Engine& engine_;
  const bool is_raw_;
  Chat chat_;
  Interrupt& interrupt_;
  const bool colour_;
  bool is_leaving_ = false;
  LineEditor editor_;
  LineAssembler assembler_;
};

}  // namespace

std::string figures_line(const Answer& answer) {
  std::string line = fmt::format("{} token{}", answer.tokens, answer.tokens == 1 ? "" : "s");
  if (answer.tokens_per_second > 0) {
    line += fmt::format(" · {:.1f} tokens/s", answer.tokens_per_second);
  }
  line += fmt::format(" · first in {:.2f} s · reused {} of {} tokens", answer.first_token_seconds,
                      answer.prefix_tokens, answer.prompt_tokens);
  line += fmt::format(" · KV blocks: {} in use, {} cached", answer.stats.blocks_in_use,
                      answer.stats.blocks_cached);
  if (answer.finish == FinishReason::cancelled) line += " · stopped";
  if (answer.finish == FinishReason::length) line += " · cut at the limit";
  if (answer.finish == FinishReason::no_memory) line += fmt::format(" · {}", kNoMemoryMessage);
  return line;
}

int run_console(Engine& engine, ChatOptions options, Interrupt& interrupt) {
  Console(engine, std::move(options), interrupt).run();
  return exit_ok;
}

}  // namespace octavo::cli
