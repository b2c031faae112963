// Makes an engine of a model that is loaded already; Engine::create() does both.
#pragma once

#include <memory>

#include "engine/loaded_model.h"
#include "octavo/config.h"
#include "octavo/engine.h"

namespace octavo {

// `config` is the one that the model was loaded with. Throws std::system_error when the system
// gives no more threads.
std::unique_ptr<Engine> start_engine(LoadedModel model, const EngineConfig& config);

}  // namespace octavo
