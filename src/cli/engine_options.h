// The flags of EngineConfig, one for each setting in visit_config, and the engine made from them.
//
// The flags write into the config, which must stay where it is until they are parsed.
#pragma once

#include <CLI/App.hpp>
#include <memory>

#include "octavo/config.h"
#include "octavo/engine.h"

namespace octavo::cli {

// Also adds MODEL, the model's path.
void add_engine_options(CLI::App& app, EngineConfig& config);

// Loads the model. OCTAVO_FORCE_ISA in the environment names the instruction set to use.
Result<std::unique_ptr<Engine>> start_engine(EngineConfig config);

}  // namespace octavo::cli
