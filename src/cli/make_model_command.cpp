// octavo make-model: a model of random weights, to be measured.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/model_vocabulary.h"
#include "cli/random_model.h"
#include "gguf/file.h"
#include "gguf/writer.h"

namespace octavo::cli {
namespace {

struct Options {
  std::string preset;
  std::string type = "Q4_K_M";
  uint32_t seed = 1;
  std::string vocab_from;
  std::string file;
};

Result<void> make_model(const Options& options, const Interrupt& interrupt) {
  OCTAVO_ASSIGN(ModelPreset preset, find_preset(options.preset));
  OCTAVO_ASSIGN(const TypeMix mix, find_type_mix(options.type));
  gguf::Writer writer;
  if (options.vocab_from.empty()) {
    add_synthetic_vocabulary(writer, preset.vocabulary);
  } else {
    OCTAVO_ASSIGN(const gguf::File from, gguf::File::open(options.vocab_from));
    OCTAVO_ASSIGN(preset.vocabulary, copy_vocabulary(from.metadata(), writer));
  }
  add_random_model(writer, preset, mix, options.seed);
  const auto threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  return writer.write(options.file, threads, [&interrupt] { return interrupt.pending(); });
}

int run_make_model(const Options& options) {
  const auto start = std::chrono::steady_clock::now();
  const Interrupt interrupt;  // Ctrl-C leaves no part of a file behind
  if (const Result<void> made = make_model(options, interrupt); !made) {
    const int code = fail(made.error());
    return interrupt.pending() ? exit_interrupted : code;
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  const auto bytes = static_cast<double>(std::filesystem::file_size(options.file));
  fmt::print("{}: {:.1f} MB in {:.1f} s, {:.2f} GB/s\n", options.file, bytes / 1e6, elapsed.count(),
             bytes / 1e9 / elapsed.count());
  return exit_ok;
}

}  // namespace

Command add_make_model_command(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* app = program.add_subcommand(
      "make-model",
      "Write a model of random weights, with the shape and types of a real one, to measure speed "
      "with. What it generates means nothing.");
  app->add_option("FILE", options->file, "The GGUF file to write; it must not exist yet.")
      ->required();
  app->add_option("--preset", options->preset, "The model's shape: " + preset_names() + ".")
      ->type_name("NAME")
      ->required();
  app->add_option("--type", options->type, "The type of its matrices: " + type_mix_names() + ".")
      ->type_name("TYPE")
      ->capture_default_str();
  app->add_option("--seed", options->seed, "Equal seeds give equal files.")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--vocab-from", options->vocab_from,
                  "Take the tokenizer, the chat template and the number of tokens of this GGUF "
                  "file; without it, tokens are bytes and made-up words.")
      ->type_name("FILE");
  app->footer(
      "octavo make-model --preset llama-8b --type Q4_K_M random-8b.gguf\n"
      "octavo make-model --preset tiny-1b --type BF16 --vocab-from llama.gguf random-1b.gguf");
  return {app, [options] { return run_make_model(*options); }};
}

}  // namespace octavo::cli
