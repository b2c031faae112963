// The memory view: the KV cache and the engine's figures as JSON, for the page to draw.
//
// GET /api/memory. A snapshot costs the engine time in proportion to the blocks, between two steps:
// however many watch, one is made every 200 ms at the most. Nothing in it tells what a text says.
// "uptime_ms" is the time of the snapshot on a clock that only goes forward.
#pragma once

#include <chrono>
#include <mutex>
#include <string>

#include "server/json_body.h"
#include "server/router.h"
#include "server/service.h"

namespace octavo::server {

// Numbers as in CacheSnapshot and EngineStats; besides
//   "sequences": [[sequence, request, output, prompt, generated, computed tokens], ...]
//   "blocks": [[block, state (0 free, 1 cached, 2 in use), group, tokens, idle steps, in host tier,
//              [owners as indices into "sequences"]], ...], the committed ones
Json memory_json(const CacheSnapshot& snapshot, const EngineStats& stats);

class MemoryView {
 public:
  explicit MemoryView(const Engine& engine) : engine_(engine) {}

  // The JSON, not much older than kFreshFor; waits for the engine's step. Any thread. Who comes
  // while another waits gets what there was before, or the first with it.
  std::string text();

 private:
  static constexpr std::chrono::milliseconds kFreshFor{200};

  const Engine& engine_;
  std::mutex making_;  // held while a snapshot is made
  std::mutex mutex_;   // of the two below
  std::string text_;
  std::chrono::steady_clock::time_point made_;
};

void add_memory_routes(Router& router, const Service& service);

}  // namespace octavo::server
