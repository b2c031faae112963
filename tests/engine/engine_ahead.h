// An engine that runs a step ahead on any machine.
#pragma once

#include <memory>
#include <utility>

#include "engine/engine_run.h"
#include "engine/late_backend.h"
#include "engine/start_engine.h"
#include "model/model.h"

namespace octavo {

// As on a GPU: where the backend computes at once, on one that does it late.
inline std::unique_ptr<Engine> make_engine_ahead(const EngineConfig& config) {
  LoadedModel loaded = must(load_model(config));
  if (loaded.runs_ahead) return start_engine(std::move(loaded), config);
  auto backend = std::make_unique<LateBackend>(std::move(loaded.backend));
  const std::unique_ptr<KvStore> store = std::move(loaded.kv_store);
  loaded.model = must(Model::load(loaded.file, *backend));
  loaded.kv_store = must(backend->create_kv_store(store->shape(), store->block_count()));
  loaded.backend = std::move(backend);
  loaded.runs_ahead = true;
  return start_engine(std::move(loaded), config);
}

}  // namespace octavo
