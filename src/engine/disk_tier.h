// DiskTier: the thread between the engine and a DiskStore, so that no step ever waits for a disk.
//
// Blocks to keep are copied into a bounded queue; what does not fit is not kept. Blocks to find
// again are asked for all at once, for one request, and come back as a whole. Before anything is
// found, the thread asks for the store's identity, which may take as long as reading the model.
//
// An error of the disk switches the tier off for good: it is said once, on standard error, and from
// then on nothing is kept and nothing is found. No request ever fails by it.
//
// Thread safety: all methods may be called from any thread; `wake` is called from the tier's own.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "engine/disk_store.h"
#include "octavo/result.h"

namespace octavo {

// A block of one KV group whose last token is the prompt's token `tokens - 1`.
struct DiskBlock {
  int32_t tokens = 0;
  int32_t group = 0;
  std::vector<std::byte> bytes;  // empty: it was not there, or not intact
};

// What one request wants from the disk, and then what it got.
struct DiskRead {
  uint64_t key = 0;  // the request's, for the caller
  std::vector<int32_t> prompt;
  std::string extra_key;
  std::vector<DiskBlock> blocks;
};

struct DiskCounters {
  int64_t records = 0;         // blocks in the file
  int64_t blocks_read = 0;     // since start: found and intact
  int64_t blocks_stored = 0;   // since start
  int64_t blocks_refused = 0;  // since start: the queue was full
};

class DiskTier {
 public:
  // Blocks that wait to be written take no more memory than this (one block, where a block is
  // larger).
  static constexpr int64_t kMostQueuedBytes = int64_t{64} << 20;

  // Says what the blocks' bytes depend on; nothing when it was told to stop.
  using Identity = std::function<std::optional<std::string>(const std::stop_token&)>;

  DiskTier(DiskStore store, int64_t block_bytes, Identity identity, std::function<void()> wake);
  ~DiskTier();  // writes what is queued, unless it is still asking for the identity

  bool contains(const BlockName& name) const { return store_.contains(name); }
  enum class Kept { yes, full, off };  // full: the queue is, for now; off: for good
  // Copies the block into the queue and returns.
  Kept store(const BlockName& name, const std::byte* block);
  // `wake` is called when take_read() has the answer. Every read is answered.
  void read(DiskRead read);
  std::optional<DiskRead> take_read();

  DiskCounters counters() const;
  // Waits, no longer than this, until nothing is queued to be written; false when time ran out.
  bool drain(std::chrono::milliseconds limit);

 private:
  struct Write {
    std::vector<int32_t> prefix;
    std::string extra_key;
    int32_t group = 0;
    std::vector<std::byte> block;
  };

  void run(const std::stop_token& stop);
  bool start(const std::stop_token& stop);
  void perform(DiskRead& read);
  void perform(const Write& write);
  void switch_off(const Error& error);
  // There is a read whose answer would find its place, or a write.
  bool has_work() const { return (!reads_.empty() && !answer_) || !writes_.empty(); }

  const int64_t block_bytes_;
  const Identity identity_;
  const std::function<void()> wake_;
  DiskStore store_;

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Write> writes_;
  std::deque<DiskRead> reads_;
  std::optional<DiskRead> answer_;  // one at a time: blocks that were read take memory
  bool is_busy_ = false;            // the thread is at work with what it took from a queue
  bool is_off_ = false;
  DiskCounters counters_;
  std::jthread thread_;  // last: it uses everything above
};

}  // namespace octavo
