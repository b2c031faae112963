#include "cli/config_flags.h"

#include "cli/input.h"
#include "octavo/result.h"

namespace octavo::cli {

CLI::Option* add_config_flag(CLI::App& app, const ConfigField& field, bool& value) {
  const std::string name = field.name;
  return app.add_flag("--" + name + ",!--no-" + name, value, field.help)
      ->default_str(value ? "on" : "off");
}

CLI::Option* add_config_flag(CLI::App& app, const ConfigField& field, std::string& value) {
  return app.add_option(std::string("--") + field.name, value, field.help)->capture_default_str();
}

CLI::Option* add_config_flag(CLI::App& app, const ConfigField& field, int64_t& value) {
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

}  // namespace octavo::cli
