// octavo perplexity: how well a model predicts a text. The method is in cli/perplexity.h.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "cli/command.h"
#include "cli/engine_options.h"
#include "cli/input.h"
#include "cli/perplexity.h"
#include "cli/terminal.h"
#include "gguf/builtin_model.h"

namespace octavo::cli {
namespace {

struct Options {
  EngineConfig config;
  std::string file;
  int64_t chunk = 512;
  int64_t bytes = 0;
  bool json = false;
};

void print_result(const Perplexity& result, const Options& options, double seconds) {
  const double rate = static_cast<double>(result.chunks * options.chunk) / seconds;
  if (!options.json) {
    fmt::print("perplexity {:.4f} ± {:.4f}\n", result.value, result.standard_error);
    fmt::print("{} of {} tokens scored in {} chunks of {}, {:.1f} tokens/s\n", result.scored_tokens,
               result.text_tokens, result.chunks, options.chunk, rate);
    return;
  }
  const nlohmann::ordered_json json = {
      {"perplexity", result.value},   {"standard_error", result.standard_error},
      {"tokens", result.text_tokens}, {"chunk", options.chunk},
      {"chunks", result.chunks},      {"scored_tokens", result.scored_tokens},
      {"tokens_per_second", rate},    {"perplexity_of_each_chunk", result.of_each_chunk}};
  fmt::print("{}\n", json.dump());
}

int run_perplexity(const Options& options) {
  const Result<std::string> text = read_input(options.file, static_cast<size_t>(options.bytes));
  if (!text) return fail(text.error());
  auto engine = start_engine(options.config);
  if (!engine) return fail(engine.error());

  const bool shows_progress = is_terminal(stderr);
  const auto progress = [shows_progress](int64_t done, int64_t chunks) {
    if (shows_progress) fmt::print(stderr, "\r\x1b[Kchunk {} of {}", done, chunks);
  };
  const auto start = std::chrono::steady_clock::now();
  const Result<Perplexity> result = measure_perplexity(**engine, *text, options.chunk, progress);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  if (shows_progress) fmt::print(stderr, "\r\x1b[K");
  if (!result) return fail(result.error());
  print_result(*result, options, elapsed.count());
  return exit_ok;
}

}  // namespace

Command add_perplexity_command(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* app = program.add_subcommand(
      "perplexity", "Measure how well a model predicts a text, as llama.cpp measures it.");
  add_engine_options(*app, options->config);
  app->add_option("FILE", options->file,
                  "The text; - is standard input. A single argument is the text, not the model.");
  app->callback([options] {
    if (!options->file.empty()) return;
    if (options->config.model_path == gguf::builtin_model_name) throw CLI::RequiredError("FILE");
    options->file = std::exchange(options->config.model_path, gguf::builtin_model_name);
  });
  app->add_option("--chunk", options->chunk,
                  "Tokens that are one prompt; the second half of each is scored.")
      ->type_name("N")
      ->capture_default_str();
  const auto read_limit = [options](const std::string& text) {
    const Result<int64_t> bytes = parse_bytes(text);
    if (!bytes) throw CLI::ValidationError("--bytes", bytes.error().message);
    options->bytes = *bytes;
  };
  app->add_option_function<std::string>("--bytes", read_limit,
                                        "Use only this much of the text's beginning.")
      ->type_name("BYTES");
  app->add_flag("--json", options->json, "Print one JSON object.");
  app->footer(
      "octavo perplexity model.gguf wiki.test.raw --bytes 64KiB\n"
      "octavo perplexity stories.txt\n"
      "octavo perplexity model.gguf book.txt --chunk 1024 --json");
  return {app, [options] { return run_perplexity(*options); }};
}

}  // namespace octavo::cli
