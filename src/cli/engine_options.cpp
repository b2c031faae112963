#include "cli/engine_options.h"

#include <cstdlib>
#include <string>
#include <type_traits>

#include "cli/input.h"
#include "gguf/builtin_model.h"

namespace octavo::cli {
namespace {

constexpr const char* kGroup = "Engine";

CLI::Option* add_flag(CLI::App& app, const ConfigField& field, bool& value) {
  const std::string name = field.name;
  return app.add_flag("--" + name + ",!--no-" + name, value, field.help)
      ->default_str(value ? "on" : "off");
}

CLI::Option* add_flag(CLI::App& app, const ConfigField& field, std::string& value) {
  return app.add_option(std::string("--") + field.name, value, field.help)->capture_default_str();
}

CLI::Option* add_flag(CLI::App& app, const ConfigField& field, int64_t& value) {
  const std::string flag = std::string("--") + field.name;
  if (!field.is_bytes) {
    return app.add_option(flag, value, field.help)->type_name("N")->capture_default_str();
  }
  const std::string zero = field.zero;
  const auto read = [&value, flag, zero](const std::string& text) {
    if (text == zero) {
      value = 0;
      return;
    }
    const Result<int64_t> bytes = parse_bytes(text);
    if (!bytes) throw CLI::ValidationError(flag, bytes.error().message);
    value = *bytes;
  };
  return app.add_option_function<std::string>(flag, read, field.help)
      ->type_name("BYTES")
      ->default_str(value == 0 ? zero : std::to_string(value));
}

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
    add_flag(app, field, value)->group(kGroup);
  });
}

Result<std::unique_ptr<Engine>> start_engine(EngineConfig config) {
  const char* forced = std::getenv("OCTAVO_FORCE_ISA");
  if (forced != nullptr) config.instruction_set = forced;
  return Engine::create(config);
}

}  // namespace octavo::cli
