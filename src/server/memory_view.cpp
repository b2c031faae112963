#include "server/memory_view.h"

#include <memory>
#include <set>
#include <utility>

namespace octavo::server {
namespace {

Json block_json(const BlockSnapshot& block) {
  return Json::array({block.block, static_cast<int>(block.state), block.group, block.tokens,
                      block.idle_steps, block.in_host_tier ? 1 : 0, block.owners});
}

Json sequence_json(const SequenceSnapshot& sequence) {
  return Json::array({sequence.sequence, sequence.request, sequence.output_index,
                      sequence.prompt_tokens, sequence.generated_tokens, sequence.computed_tokens});
}

asio::awaitable<void> send_memory(const Service& service, MemoryView& view, Exchange& exchange) {
  HttpResponse response;
  response.body = co_await service.run_on_worker([&view] { return view.text(); }, Lane::waiting);
  response.headers.emplace_back("Cache-Control", "no-store");
  co_await exchange.respond(std::move(response));
}

}  // namespace

Json memory_json(const CacheSnapshot& snapshot, const EngineStats& stats) {
  Json json = {{"block_size", snapshot.block_size},
               {"block_bytes", stats.block_bytes},
               {"total", snapshot.blocks_total},
               {"uncommitted", snapshot.blocks_uncommitted},
               {"free", snapshot.blocks_free},
               {"cached", snapshot.blocks_cached},
               {"in_use", snapshot.blocks_in_use},
               {"shared", snapshot.blocks_shared},
               {"saved", snapshot.saved_blocks},
               {"owned_slots", snapshot.owned_slots},
               {"filled_slots", snapshot.filled_slots},
               {"host_slots", snapshot.host_slots},
               {"host_slots_used", snapshot.host_slots_used},
               {"disk_blocks", stats.disk_blocks},
               {"waiting", stats.waiting},
               {"running", stats.running},
               {"prompt_tokens", stats.prompt_tokens},
               {"generated_tokens", stats.generated_tokens},
               {"prefix_query_tokens", stats.prefix_query_tokens},
               {"prefix_hit_tokens", stats.prefix_hit_tokens},
               {"preemptions", stats.preemptions},
               {"evictions", stats.evictions}};
  std::set<int32_t> groups;
  json["sequences"] = Json::array();
  for (const SequenceSnapshot& sequence : snapshot.sequences) {
    json["sequences"].push_back(sequence_json(sequence));
  }
  json["blocks"] = Json::array();
  for (const BlockSnapshot& block : snapshot.blocks) {
    if (block.group >= 0) groups.insert(block.group);
    json["blocks"].push_back(block_json(block));
  }
  json["groups"] = groups.size();
  return json;
}

std::string MemoryView::text() {
  std::unique_lock making(making_, std::try_to_lock);
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      const bool is_fresh = std::chrono::steady_clock::now() - made_ < kFreshFor;
      if (!text_.empty() && (is_fresh || !making)) return text_;
    }
    if (making) break;
    making.lock();  // the first snapshot is on its way: it will do for us, too
  }
  Json json = memory_json(engine_.cache_snapshot(), engine_.stats());
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  json["uptime_ms"] = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  std::string text = dump(json);
  const std::lock_guard lock(mutex_);
  text_ = text;
  made_ = std::chrono::steady_clock::now();
  return text;
}

void add_memory_routes(Router& router, const Service& service) {
  const auto view = std::make_shared<MemoryView>(service.engine);
  router.add("GET", "/api/memory", [&service, view](Exchange& exchange) {
    return send_memory(service, *view, exchange);
  });
}

}  // namespace octavo::server
