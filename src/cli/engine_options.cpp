#include "cli/engine_options.h"

#include <cstdlib>
#include <string>

#include "cli/config_flags.h"
#include "gguf/builtin_model.h"

namespace octavo::cli {
namespace {

constexpr const char* kGroup = "Engine";

}  // namespace

void add_model_option(CLI::App& app, std::string& model) {
  model = gguf::builtin_model_name;
  app.add_option("MODEL", model,
                 "The model: a GGUF file, or the first of its parts; builtin is the small model "
                 "inside octavo.")
      ->capture_default_str();
}

void add_engine_options(CLI::App& app, EngineConfig& config) {
  add_model_option(app, config.model_path);
  visit_config(config, [&app](const ConfigField& field, auto& value) {
    add_config_flag(app, field, value)->group(kGroup);
  });
}

void apply_environment(EngineConfig& config) {
  const char* forced = std::getenv("OCTAVO_FORCE_ISA");
  if (forced != nullptr) config.instruction_set = forced;
}

Result<std::unique_ptr<Engine>> start_engine(EngineConfig config) {
  apply_environment(config);
  return Engine::create(config);
}

}  // namespace octavo::cli
