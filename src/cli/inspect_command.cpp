// octavo inspect: what is in a model file. The report is in cli/inspect.h.
#include <cstdio>
#include <memory>
#include <string>

#include "cli/command.h"
#include "cli/engine_options.h"
#include "cli/input.h"
#include "cli/inspect.h"
#include "gguf/builtin_model.h"

namespace octavo::cli {
namespace {

struct Options {
  std::string model;
  InspectOptions inspect;
};

int run_inspect(const Options& options) {
  const Result<gguf::File> file = gguf::open_model(options.model);
  if (!file) return fail(file.error());
  const std::string report = inspect(*file, options.inspect);
  std::fwrite(report.data(), 1, report.size(), stdout);
  return exit_ok;
}

}  // namespace

Command add_inspect_command(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* app = program.add_subcommand(
      "inspect", "Show a model's metadata and tensors, and what fits in memory.");
  add_model_option(*app, options->model);
  const auto read_memory = [options](const std::string& text) {
    const Result<int64_t> bytes = parse_bytes(text);
    if (!bytes) throw CLI::ValidationError("--memory", bytes.error().message);
    options->inspect.memory_bytes = static_cast<uint64_t>(*bytes);
  };
  app->add_option_function<std::string>(
         "--memory", read_memory,
         "Say what context length and how many sequences fit in this much memory, weights "
         "included.")
      ->type_name("BYTES");
  app->add_flag("--json", options->inspect.json, "Print one JSON object.");
  app->footer(
      "octavo inspect model.gguf\n"
      "octavo inspect model.gguf --memory 8GiB\n"
      "octavo inspect model.gguf --json | jq .metadata");
  return {app, [options] { return run_inspect(*options); }};
}

}  // namespace octavo::cli
