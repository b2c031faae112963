// LoadedModel: everything read from one GGUF file, and the backend it runs on.
//
// Owns all of it. The tokenizer, the template and the figures are immutable and may be used from
// any thread; backend, model and KV store belong to the engine thread.
#pragma once

#include <memory>
#include <optional>

#include "backend/backend.h"
#include "engine/disk_store.h"
#include "engine/host_memory.h"
#include "gguf/file.h"
#include "kv/kv_cache.h"
#include "model/model.h"
#include "octavo/config.h"
#include "octavo/engine.h"
#include "octavo/result.h"
#include "sched/scheduler.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace octavo {

struct LoadedModel {
  // Declared in order of dependence: the model's weights may point into the file and the backend.
  gguf::File file;
  std::unique_ptr<text::Tokenizer> tokenizer;
  text::ChatTemplate chat_template;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Model> model;
  std::unique_ptr<KvStore> kv_store;
  std::unique_ptr<HostMemory> host_memory;  // with kv.host_blocks slots
  std::optional<DiskStore> disk_store;      // opened, not started
  KvConfig kv;                              // the bookkeeping that fits kv_store
  SwapCosts swap_costs;
  // Whether a step is launched before the tokens of the one before it are known.
  bool runs_ahead = false;
  ModelInfo info;
};

// Opens the model and makes what runs it. Errors name the file or the setting.
Result<LoadedModel> load_model(const EngineConfig& config);

// Checks every numeric setting against the bounds of its ConfigField and the names against what is
// known. Errors name the setting.
Result<void> check_config(const EngineConfig& config);

}  // namespace octavo
