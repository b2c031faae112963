// octavo generate: many prompts from a file, answered all at once.
#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "cli/cache_picture.h"
#include "cli/command.h"
#include "cli/engine_options.h"
#include "cli/generate.h"
#include "cli/input.h"
#include "cli/progress_bar.h"
#include "cli/prompts_file.h"
#include "cli/sampling_options.h"
#include "cli/terminal.h"
#include "engine/request_check.h"

namespace octavo::cli {
namespace {

struct Options {
  EngineConfig config;
  Prompt defaults;
  std::string prompts;
  std::string output = "-";
  bool chat = false;
};

using File = std::unique_ptr<FILE, int (*)(FILE*)>;

Result<std::vector<Prompt>> read_prompts(const Options& options) {
  OCTAVO_TRY(check_sampling(options.defaults.sampling));
  OCTAVO_ASSIGN(const std::string content, read_input(options.prompts));
  const std::string name = options.prompts == "-" ? "standard input" : options.prompts;
  return parse_prompts(name, content, options.defaults);
}

// Standard output is not closed. The file that the prompts came from is not overwritten.
Result<File> open_output(const std::string& path, const std::string& prompts) {
  if (path == "-") return File(stdout, std::fflush);
  std::error_code not_both_there;
  if (std::filesystem::equivalent(path, prompts, not_both_there)) {
    return invalid_input("output: {} holds the prompts", path);
  }
  File file(std::fopen(path.c_str(), "wb"), std::fclose);
  if (file == nullptr) return io_error("{}: {}", path, std::strerror(errno));
  return file;
}

Result<void> write_line(const std::string& result, FILE* out) {
  const std::string line = is_terminal(out) ? without_controls(result) : result;
  const bool is_written = std::fwrite(line.data(), 1, line.size(), out) == line.size();
  if (is_written && std::fflush(out) == 0) return {};
  return io_error("cannot write the results: {}", std::strerror(errno));
}

int run_generate(const Options& options) {
  const Result<std::vector<Prompt>> prompts = read_prompts(options);
  if (!prompts) return fail(prompts.error());
  auto engine = start_engine(options.config);
  if (!engine) return fail(engine.error());
  const Result<File> out = open_output(options.output, options.prompts);
  if (!out) return fail(out.error());

  const Interrupt interrupt;
  GenerateOptions limits;
  limits.chat = options.chat;
  limits.most_at_once =
      static_cast<size_t>(options.config.max_queued + options.config.max_sequences);
  const auto start = std::chrono::steady_clock::now();
  std::optional<ProgressBar> bar;
  bar.emplace(**engine, static_cast<int64_t>(prompts->size()));
  int64_t done = 0;
  const auto write = [&bar, &out, &done](const std::string& line) {
    Result<void> written = bar->print_above([&] { return write_line(line, out->get()); });
    bar->set_done(++done);
    return written;
  };
  const Result<GenerateReport> report = generate(**engine, *prompts, limits, interrupt, write);
  bar.reset();
  if (!report) return fail(report.error());

  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  const double rate = static_cast<double>(report->tokens) / elapsed.count();
  const std::string summary =
      fmt::format("{} of {} prompts, {} failed, {} tokens in {:.1f} s, {:.1f} tokens/s; {}\n",
                  report->done, prompts->size(), report->failed, report->tokens, elapsed.count(),
                  rate, hit_rate((*engine)->stats()));
  std::fputs(summary.c_str(), stderr);
  if (interrupt.pending()) return exit_interrupted;
  return report->failed > 0 ? exit_failed : exit_ok;
}

}  // namespace

Command add_generate_command(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* app = program.add_subcommand(
      "generate",
      "Answer many prompts at once. Results are JSON lines in the order of the prompts.");
  add_engine_options(*app, options->config);
  app->add_option("--prompts", options->prompts,
                  "One prompt a line; or JSON lines with \"prompt\" or \"messages\", and any of "
                  "\"n\" and the parameters of sampling and beam search by name; - is standard "
                  "input.")
      ->type_name("FILE")
      ->required();
  app->add_option("--output", options->output, "Where the results go; - is standard output.")
      ->type_name("FILE")
      ->capture_default_str();
  app->add_flag("--chat", options->chat,
                "Take each prompt for a user's message, and use the model's chat template.");
  app->add_option("--n", options->defaults.outputs, "Outputs for each prompt, 1 to 128.")
      ->type_name("N")
      ->check(between(1, 128))
      ->capture_default_str();
  add_sampling_options(*app, options->defaults.sampling);
  add_beam_options(*app, options->defaults.beam);
  app->footer(
      "octavo generate model.gguf --prompts prompts.txt --max-tokens 64 > answers.jsonl\n"
      "octavo generate model.gguf --prompts chats.jsonl --output answers.jsonl\n"
      "echo '{\"prompt\": \"Once\", \"n\": 4, \"seed\": 7}' | octavo generate model.gguf --prompts "
      "-");
  return {app, [options] { return run_generate(*options); }};
}

}  // namespace octavo::cli
