// octavo run: a chat in the terminal, or one answer.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <string>

#include "base/error.h"
#include "cli/chat.h"
#include "cli/command.h"
#include "cli/console.h"
#include "cli/engine_options.h"
#include "cli/input.h"
#include "cli/sampling_options.h"
#include "cli/terminal.h"
#include "engine/request_check.h"
#include "gguf/builtin_model.h"

namespace octavo::cli {
namespace {

struct Options {
  EngineConfig config;
  ChatOptions chat;
  std::string prompt;
  bool has_prompt = false;
};

void introduce_builtin(const ModelInfo& model) {
  complain(
      fmt::format("this is {}, a very small model built into the program: it tells children's "
                  "stories, and what it says of the world is made up",
                  model.name));
  complain("for a real model give a GGUF file: octavo run model.gguf");
}

int answer_once(Engine& engine, const Options& options, const std::string& prompt) {
  const Interrupt interrupt;
  Chat chat(engine, options.chat);
  if (engine.model().chat_template.empty() && !options.chat.raw) {
    complain("the model has no chat template, ChatML is used; --raw continues plain text");
  }
  const bool is_shown = is_terminal(stdout);
  const auto write = [is_shown](std::string_view text) {
    const std::string clean = is_shown ? without_controls(text) : std::string(text);
    std::fwrite(clean.data(), 1, clean.size(), stdout);
    std::fflush(stdout);
  };
  const Result<Answer> answer = chat.ask(prompt, interrupt, write);
  if (!answer) return fail(answer.error());
  fmt::print("\n");
  std::fflush(stdout);
  if (is_terminal(stderr)) {
    fmt::print(stderr, "{}\n", dim(figures_line(*answer), may_colour(stderr)));
  }
  return interrupt.pending() ? exit_interrupted : exit_ok;
}

int run_chat(const Options& options) {
  const Result<void> checked = check_sampling(options.chat.sampling);
  if (!checked) return fail(checked.error());
  if (options.chat.sampling.logprobs >= 0) {
    return fail(invalid_input("logprobs: a chat does not show them; octavo generate does"));
  }
  const bool is_interactive = !options.has_prompt && is_terminal(stdin) && is_terminal(stdout);
  std::string prompt = options.prompt;
  if (!is_interactive && !options.has_prompt) {
    Result<std::string> read = read_input("-");
    if (!read) return fail(read.error());
    prompt = std::move(read).value();
    if (prompt.ends_with('\n')) prompt.pop_back();
  }
  auto engine = start_engine(options.config);
  if (!engine) return fail(engine.error());
  if (options.config.model_path == gguf::builtin_model_name) introduce_builtin((*engine)->model());
  if (!is_interactive && prompt.empty()) return fail(invalid_input("the prompt is empty"));
  if (!is_interactive) return answer_once(**engine, options, prompt);
  Interrupt interrupt;
  return run_console(**engine, options.chat, interrupt);
}

}  // namespace

Command add_run_command(CLI::App& program) {
  auto options = std::make_shared<Options>();
  // Good answers in a chat want less chance than plain sampling from the model, and room to end by
  // themselves; a limit all the same, for small models can go on and on.
  options->chat.sampling.temperature = 0.7F;
  options->chat.sampling.top_p = 0.95F;
  options->chat.sampling.max_tokens = 1024;
  CLI::App* app = program.add_subcommand(
      "run",
      "Chat with a model in the terminal. Where standard input is not a terminal, all of it is one "
      "prompt, which is answered once.");
  add_engine_options(*app, options->config);
  const auto read_prompt = [options](const std::string& text) {
    options->prompt = text;
    options->has_prompt = true;
  };
  app->add_option_function<std::string>("--prompt", read_prompt, "Answer this once and exit.")
      ->type_name("TEXT");
  app->add_option("--system", options->chat.system, "The system message.")->type_name("TEXT");
  app->add_flag("--raw", options->chat.raw,
                "Continue plain text, without the model's chat template.");
  add_sampling_options(*app, options->chat.sampling);
  app->footer(
      "octavo run\n"
      "octavo run model.gguf\n"
      "octavo run model.gguf --system 'Answer in French.' --temperature 0\n"
      "octavo run model.gguf --raw --prompt 'Once upon a time' --max-tokens 100\n"
      "octavo run model.gguf < question.txt");
  return {app, [options] { return run_chat(*options); }};
}

}  // namespace octavo::cli
