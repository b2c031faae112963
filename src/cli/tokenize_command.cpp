// octavo tokenize: how a model cuts a text into tokens. The formats are in cli/tokenize.h.
#include <cstdio>
#include <memory>
#include <string>

#include "cli/command.h"
#include "cli/engine_options.h"
#include "cli/input.h"
#include "cli/tokenize.h"
#include "gguf/builtin_model.h"

namespace octavo::cli {
namespace {

struct Options {
  std::string model;
  std::string text;
  bool has_text = false;
  bool ids = false;
  bool json = false;
  bool special = false;
  bool no_bos = false;
};

Result<std::string> tokens_of(const Options& options) {
  OCTAVO_ASSIGN(const gguf::File file, gguf::open_model(options.model));
  OCTAVO_ASSIGN(const auto tokenizer, text::Tokenizer::create(file.metadata()));
  std::string text = options.text;
  if (!options.has_text) {
    OCTAVO_ASSIGN(text, read_input("-"));
  }
  const std::vector<int32_t> ids =
      tokenizer->encode(text, {.add_special = !options.no_bos, .parse_special = options.special});
  const TokenFormat format = options.ids    ? TokenFormat::ids
                             : options.json ? TokenFormat::json
                                            : TokenFormat::table;
  return format_tokens(*tokenizer, ids, format);
}

int run_tokenize(const Options& options) {
  const Result<std::string> tokens = tokens_of(options);
  if (!tokens) return fail(tokens.error());
  std::fwrite(tokens->data(), 1, tokens->size(), stdout);
  return exit_ok;
}

}  // namespace

Command add_tokenize_command(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* app = program.add_subcommand("tokenize", "Show the tokens of a text.");
  add_model_option(*app, options->model);
  const auto read_text = [options](const std::string& text) {
    options->text = text;
    options->has_text = true;
  };
  app->add_option_function<std::string>("TEXT", read_text,
                                        "The text; without it, standard input is read.");
  CLI::Option* ids = app->add_flag("--ids", options->ids, "Print only the ids, on one line.");
  app->add_flag("--json", options->json, "Print one JSON object.")->excludes(ids);
  app->add_flag("--special", options->special,
                "Take special tokens that are written out in the text for what they are.");
  app->add_flag("--no-bos", options->no_bos,
                "Do not add the tokens that the model wants around a text.");
  app->footer(
      "octavo tokenize model.gguf 'Hello, world'\n"
      "octavo tokenize builtin 'Hello, world'\n"
      "octavo tokenize model.gguf --ids < book.txt | wc -w\n"
      "octavo tokenize model.gguf --special '<|im_start|>user'");
  return {app, [options] { return run_tokenize(*options); }};
}

}  // namespace octavo::cli
