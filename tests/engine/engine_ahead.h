// An engine that runs a step ahead on any machine, and one whose memory others take.
#pragma once

#include <memory>
#include <utility>

#include "engine/engine_run.h"
#include "engine/late_backend.h"
#include "engine/start_engine.h"
#include "model/model.h"

namespace octavo {

// From a backend that computes at once to one that does it late.
inline void put_on_late_backend(LoadedModel& loaded, std::shared_ptr<const BlockLimit> limit) {
  auto backend = std::make_unique<LateBackend>(std::move(loaded.backend), std::move(limit));
  const std::unique_ptr<KvStore> store = std::move(loaded.kv_store);
  loaded.model = must(Model::load(loaded.file, *backend));
  loaded.kv_store = must(backend->create_kv_store(store->shape(), store->block_count()));
  loaded.backend = std::move(backend);
}

// As on a GPU: where the backend computes at once, on one that does it late.
inline std::unique_ptr<Engine> make_engine_ahead(const EngineConfig& config) {
  LoadedModel loaded = must(load_model(config));
  if (!loaded.runs_ahead) put_on_late_backend(loaded, nullptr);
  loaded.runs_ahead = true;
  return start_engine(std::move(loaded), config);
}

// On the CPU, with so many blocks of its pool as `limit` says at the moment, two at a time.
inline std::unique_ptr<Engine> make_engine_of_blocks(const EngineConfig& config, bool runs_ahead,
                                                     std::shared_ptr<const BlockLimit> limit) {
  LoadedModel loaded = must(load_model(config));
  put_on_late_backend(loaded, std::move(limit));
  loaded.runs_ahead = runs_ahead;
  loaded.kv.extent_blocks = 2;
  return start_engine(std::move(loaded), config);
}

}  // namespace octavo
