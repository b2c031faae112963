// CacheTiers: the memory behind the KV cache's bookkeeping beyond the pool: blocks move between the
// pool, the host tier and the disk tier as plans say, and come back from the disk for a prompt that
// begins like one of long ago.
//
//   pool  <- swap out, swap in ->  host tier  - spill ->  disk tier  - fetch ->  host tier
//
// A swap is a copy that a step makes before it computes. A spill is copied into the disk tier's
// queue; a fetch happens before its request reaches the scheduler. So a step never waits for the
// disk, and neither does a request of which the disk has nothing.
//
// Refers to the model, which must outlive it. Engine thread only, but for fill(); `wake` is called
// from another.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "engine/disk_tier.h"
#include "engine/loaded_model.h"
#include "engine/request_channel.h"
#include "sched/scheduler.h"

namespace octavo {

class CacheTiers {
 public:
  // Takes the model's disk store, if it has one. `wake` says that place_fetched() has something to
  // do.
  CacheTiers(LoadedModel& model, const EngineConfig& config, std::function<void()> wake);

  // A plan's moves, before its forward pass.
  void perform(const BlockMoves& moves);

  // True: the disk has more of the prompt than the cache does, and is being read; place_fetched()
  // will name the request when all of it is in the host tier. False: nothing to wait for.
  bool fetch(const Submission& submission, Scheduler& scheduler);
  // Between two plans: places what came from the disk, at most one piece of it. The key of the
  // request that has all it can get.
  std::optional<uint64_t> place_fetched(Scheduler& scheduler);

  // Writes what pool and host tier hold to the disk, as fast as that takes it; nothing to do
  // without a disk tier. No plan may be uncommitted. Stops early when `is_wanted` says so and
  // returns false.
  bool save(const Scheduler& scheduler, const std::function<bool()>& is_wanted);

  // Any thread.
  void fill(EngineStats& stats) const;

 private:
  // What is still to be read for a request, in order.
  struct Fetch {
    std::vector<int32_t> prompt;
    std::string extra_key;
    std::vector<DiskBlock> wanted;
    size_t next = 0;
  };

  std::vector<DiskBlock> blocks_on_disk(const Submission& submission, int32_t known_blocks) const;
  int32_t blocks_on_disk_until(const Submission& submission, int32_t known_blocks) const;
  void read_next_piece(uint64_t key, Fetch& fetch);

  LoadedModel& model_;
  HostMemory& host_;
  const int64_t block_bytes_;
  std::unordered_map<uint64_t, Fetch> fetches_;
  std::vector<std::byte> swapped_;  // scratch: a block on its way from the pool to the disk
  std::optional<DiskTier> disk_;    // last: its thread is to stop before anything else goes
};

}  // namespace octavo
