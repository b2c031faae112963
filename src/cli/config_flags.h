// A flag for a setting that a ConfigField describes (octavo/config.h, server/server_config.h).
//
// The flag writes into `value`, which must stay where it is until the flags are parsed.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <string>

#include "octavo/config.h"

namespace octavo::cli {

CLI::Option* add_config_flag(CLI::App& app, const ConfigField& field, bool& value);
CLI::Option* add_config_flag(CLI::App& app, const ConfigField& field, std::string& value);
CLI::Option* add_config_flag(CLI::App& app, const ConfigField& field, int64_t& value);

}  // namespace octavo::cli
