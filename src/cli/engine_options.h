// The flags of EngineConfig, one for each setting in visit_config, and the engine made from them.
//
// The flags write into the config, which must stay where it is until they are parsed.
#pragma once

#include <CLI/App.hpp>
#include <memory>
#include <string>

#include "octavo/config.h"
#include "octavo/engine.h"

namespace octavo::cli {

// Adds MODEL, which may be left out: then `model` is the built-in one (gguf/builtin_model.h).
void add_model_option(CLI::App& app, std::string& model);

// Also adds MODEL.
void add_engine_options(CLI::App& app, EngineConfig& config);

// OCTAVO_FORCE_ISA in the environment names the instruction set to use.
void apply_environment(EngineConfig& config);

// Loads the model, with what the environment says.
Result<std::unique_ptr<Engine>> start_engine(EngineConfig config);

}  // namespace octavo::cli
