#include "engine/disk_tier.h"

#include <pthread.h>

#include <csignal>
#include <cstdio>
#include <utility>

namespace octavo {

DiskTier::DiskTier(DiskStore store, int64_t block_bytes, Identity identity,
                   std::function<void()> wake)
    : block_bytes_(block_bytes),
      identity_(std::move(identity)),
      wake_(std::move(wake)),
      store_(std::move(store)),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

DiskTier::~DiskTier() = default;

void DiskTier::run(const std::stop_token& stop) {
  // Signals are for the threads that expect them. SIGXFSZ, blocked, becomes an error of the write
  // that goes past the process's limit on file sizes.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);

  const bool is_started = start(stop);
  std::unique_lock lock(mutex_);
  if (!is_started) {
    is_off_ = true;
    writes_.clear();
  }
  while (true) {
    is_busy_ = false;
    changed_.notify_all();
    changed_.wait(lock, stop, [this] { return has_work(); });
    is_busy_ = true;
    // A request waits for a read; nobody waits for a write. Once told to stop, the writes that are
    // queued are all that is left to do.
    if (!reads_.empty() && !answer_ && !stop.stop_requested()) {
      DiskRead read = std::move(reads_.front());
      reads_.pop_front();
      lock.unlock();
      perform(read);
      lock.lock();
      answer_ = std::move(read);
      lock.unlock();
      wake_();
      lock.lock();
    } else if (!writes_.empty()) {
      const Write write = std::move(writes_.front());
      writes_.pop_front();
      lock.unlock();
      perform(write);
      lock.lock();
    } else if (stop.stop_requested()) {
      return;
    }
  }
}

bool DiskTier::start(const std::stop_token& stop) {
  const std::optional<std::string> identity = identity_(stop);
  if (!identity) return false;
  const Result<void> started = store_.start(*identity);
  if (!started) switch_off(started.error());
  return started.ok();
}

void DiskTier::perform(DiskRead& read) {
  int64_t found = 0;
  bool is_off = false;
  {
    const std::lock_guard lock(mutex_);
    is_off = is_off_;
  }
  for (DiskBlock& block : read.blocks) {
    if (is_off) break;
    block.bytes.resize(static_cast<size_t>(block_bytes_));
    const std::span prefix = std::span(read.prompt).first(static_cast<size_t>(block.tokens));
    if (store_.get({prefix, read.extra_key, block.group}, block.bytes)) {
      ++found;
    } else {
      block.bytes.clear();
    }
  }
  const std::lock_guard lock(mutex_);
  counters_.blocks_read += found;
}

void DiskTier::perform(const Write& write) {
  const Result<void> written =
      store_.put({write.prefix, write.extra_key, write.group}, write.block);
  if (!written) return switch_off(written.error());
  const std::lock_guard lock(mutex_);
  ++counters_.blocks_stored;
}

void DiskTier::switch_off(const Error& error) {
  const std::lock_guard lock(mutex_);
  is_off_ = true;
  writes_.clear();
  std::fprintf(stderr, "octavo: kv-disk: %s; the disk tier is off\n", error.message.c_str());
}

DiskTier::Kept DiskTier::store(const BlockName& name, const std::byte* block) {
  {
    const std::lock_guard lock(mutex_);
    const int64_t queued = static_cast<int64_t>(writes_.size()) * block_bytes_;
    if (is_off_) return Kept::off;
    if (!writes_.empty() && queued + block_bytes_ > kMostQueuedBytes) {
      ++counters_.blocks_refused;
      return Kept::full;
    }
    writes_.push_back({{name.prefix.begin(), name.prefix.end()},
                       std::string(name.extra_key),
                       name.group,
                       {block, block + block_bytes_}});
  }
  changed_.notify_all();
  return Kept::yes;
}

void DiskTier::read(DiskRead read) {
  {
    const std::lock_guard lock(mutex_);
    reads_.push_back(std::move(read));
  }
  changed_.notify_all();
}

std::optional<DiskRead> DiskTier::take_read() {
  std::optional<DiskRead> read;
  {
    const std::lock_guard lock(mutex_);
    read = std::exchange(answer_, std::nullopt);
  }
  if (read) changed_.notify_all();  // there is a place for the next answer
  return read;
}

DiskCounters DiskTier::counters() const {
  const int64_t records = store_.records();
  const std::lock_guard lock(mutex_);
  DiskCounters counters = counters_;
  counters.records = records;
  return counters;
}

bool DiskTier::drain(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, limit, [this] { return writes_.empty() && !is_busy_; });
}

}  // namespace octavo
