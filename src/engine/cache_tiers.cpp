#include "engine/cache_tiers.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "backend/create_backend.h"
#include "engine/kv_identity.h"

namespace octavo {
namespace {

// A piece of a fetch: how much is copied into the host tier between two steps.
constexpr int64_t kPieceBytes = int64_t{16} << 20;

}  // namespace

CacheTiers::CacheTiers(LoadedModel& model, const EngineConfig& config, std::function<void()> wake)
    : model_(model),
      host_(*model.host_memory),
      block_bytes_(host_.block_bytes()),
      swapped_(static_cast<size_t>(block_bytes_)) {
  if (!model.disk_store) return;
  std::string mode =
      arithmetic_mode({.device = config.device, .deterministic = config.deterministic});
  const auto identity = [&model, mode = std::move(mode)](const std::stop_token& stop) {
    std::optional<std::string> hash = content_hash(model.file, stop);
    if (hash) hash = kv_identity(*hash, model.kv_store->shape(), mode);
    return hash;
  };
  disk_.emplace(std::move(*model.disk_store), block_bytes_, identity, std::move(wake));
}

void CacheTiers::perform(const BlockMoves& moves) {
  for (const BlockContent& spill : moves.spills) {
    // Nobody will ever ask again for the blocks of a request that shares none.
    if (!disk_ || spill.extra_key.starts_with(kOwnKey)) continue;
    disk_->store({spill.tokens, spill.extra_key, spill.group}, host_.slot(spill.host_slot));
  }
  Backend& backend = *model_.backend;
  KvStore& store = *model_.kv_store;
  if (!moves.swap_out.empty()) {
    backend.swap_blocks(store, host_.data(), moves.swap_out, SwapDirection::out);
  }
  if (!moves.swap_in.empty()) {
    backend.swap_blocks(store, host_.data(), moves.swap_in, SwapDirection::in);
  }
  if (!moves.copies.empty()) backend.copy_blocks(store, moves.copies);
}

// How many leading blocks of the prompt pool, host tier and disk have together in every group that
// needs all of them.
int32_t CacheTiers::blocks_on_disk_until(const Submission& submission, int32_t known_blocks) const {
  const KvConfig& kv = model_.kv;
  const std::span prompt(submission.prompt);
  // Half of the host tier at the most: what is fetched must not push its own beginning out.
  const auto room = static_cast<int32_t>(kv.host_blocks / 2 / static_cast<int>(kv.groups.size()));
  const auto last = static_cast<int32_t>((prompt.size() - 1) / static_cast<size_t>(kv.block_size));
  int32_t end = known_blocks;
  for (; end < std::min(last, known_blocks + room); ++end) {
    const size_t tokens = (static_cast<size_t>(end) + 1) * static_cast<size_t>(kv.block_size);
    for (size_t g = 0; g < kv.groups.size(); ++g) {
      // The first group counts in any case: in some models every layer has a window.
      if (kv.groups[g].window != 0 && g > 0) continue;
      const BlockName name = {prompt.first(tokens), submission.extra_key, static_cast<int32_t>(g)};
      if (!disk_->contains(name)) return end;
    }
  }
  return end;
}

std::vector<DiskBlock> CacheTiers::blocks_on_disk(const Submission& submission,
                                                  int32_t known_blocks) const {
  const KvConfig& kv = model_.kv;
  const auto groups = static_cast<int32_t>(kv.groups.size());
  const std::span prompt(submission.prompt);
  const auto has = [&](int32_t tokens, int32_t group) {
    return disk_->contains(
        {prompt.first(static_cast<size_t>(tokens)), submission.extra_key, group});
  };
  std::vector<DiskBlock> blocks;
  const int32_t end = blocks_on_disk_until(submission, known_blocks);
  for (int32_t i = known_blocks; i < end; ++i) {
    const int32_t tokens = (i + 1) * kv.block_size;
    for (int32_t g = 0; g < groups; ++g) {
      const GroupSpec& group = kv.groups[static_cast<size_t>(g)];
      const bool is_visible = tokens > first_visible(group, end * kv.block_size);
      if (is_visible && has(tokens, g)) blocks.push_back({tokens, g, {}});
    }
  }
  // The next block need not be full, nor the prompt reach to its end: it may be the end of an
  // earlier request, whose next turn this is, or of the same prompt.
  const auto longest =
      std::min<int32_t>((end + 1) * kv.block_size, static_cast<int32_t>(prompt.size()));
  for (int32_t tokens = longest; tokens > end * kv.block_size; --tokens) {
    if (!has(tokens, 0)) continue;
    for (int32_t g = 0; g < groups; ++g) blocks.push_back({tokens, g, {}});
    break;
  }
  return blocks;
}

bool CacheTiers::fetch(const Submission& submission, Scheduler& scheduler) {
  if (!disk_ || submission.extra_key.starts_with(kOwnKey)) return false;
  const int32_t known = scheduler.cached_blocks(submission.prompt, submission.extra_key);
  std::vector<DiskBlock> wanted = blocks_on_disk(submission, known);
  if (wanted.empty()) return false;
  Fetch& fetch = fetches_[submission.key];
  fetch = {submission.prompt, submission.extra_key, std::move(wanted), 0};
  read_next_piece(submission.key, fetch);
  return true;
}

void CacheTiers::read_next_piece(uint64_t key, Fetch& fetch) {
  const auto most = static_cast<size_t>(std::max<int64_t>(1, kPieceBytes / block_bytes_));
  const size_t count = std::min(most, fetch.wanted.size() - fetch.next);
  const auto first = fetch.wanted.begin() + static_cast<std::ptrdiff_t>(fetch.next);
  disk_->read({.key = key,
               .prompt = fetch.prompt,
               .extra_key = fetch.extra_key,
               .blocks = {first, first + static_cast<std::ptrdiff_t>(count)}});
  fetch.next += count;
}

std::optional<uint64_t> CacheTiers::place_fetched(Scheduler& scheduler) {
  const std::optional<DiskRead> read = disk_->take_read();
  if (!read) return std::nullopt;
  const std::span prompt(read->prompt);
  for (const DiskBlock& block : read->blocks) {
    if (block.bytes.empty()) continue;
    const auto prefix = prompt.first(static_cast<size_t>(block.tokens));
    const HostSlot slot = scheduler.offer_host_block(prefix, read->extra_key, block.group);
    if (slot != kNoSlot) std::memcpy(host_.slot(slot), block.bytes.data(), block.bytes.size());
  }
  Fetch& fetch = fetches_.at(read->key);
  if (fetch.next < fetch.wanted.size()) {
    read_next_piece(read->key, fetch);
    return std::nullopt;
  }
  fetches_.erase(read->key);
  return read->key;
}

bool CacheTiers::save(const Scheduler& scheduler, const std::function<bool()>& is_wanted) {
  if (!disk_) return true;
  bool is_complete = true;
  scheduler.kv().visit_contents([&](const BlockContent& content) {
    if (content.extra_key.starts_with(kOwnKey)) return true;
    const BlockName name = {content.tokens, content.extra_key, content.group};
    if (disk_->contains(name)) return true;
    const std::byte* bytes = swapped_.data();
    if (content.block != kNoBlock) {
      const BlockSwap swap = {content.block, 0};
      model_.backend->swap_blocks(*model_.kv_store, swapped_.data(), {&swap, 1},
                                  SwapDirection::out);
    } else {
      bytes = host_.slot(content.host_slot);
    }
    DiskTier::Kept kept = disk_->store(name, bytes);
    for (; kept == DiskTier::Kept::full && is_complete; kept = disk_->store(name, bytes)) {
      disk_->drain(std::chrono::milliseconds(10));
      is_complete = !is_wanted();
    }
    return is_complete && kept == DiskTier::Kept::yes;
  });
  // A file that is still to be opened, or a slow disk, gets the time there is.
  while (is_complete && !disk_->drain(std::chrono::milliseconds(10))) is_complete = !is_wanted();
  return is_complete;
}

void CacheTiers::fill(EngineStats& stats) const {
  stats.host_blocks_total = model_.kv.host_blocks;
  if (!disk_) return;
  const DiskCounters counters = disk_->counters();
  stats.disk_blocks = counters.records;
  stats.disk_blocks_read = counters.blocks_read;
  stats.disk_blocks_stored = counters.blocks_stored;
}

}  // namespace octavo
