#include "cli/cache_picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <vector>

namespace octavo::cli {
namespace {

constexpr int kMostLines = 12;

// In order of how busy a block is.
enum class Look { uncommitted, free, cached, in_use, shared };

const char* character(Look look) {
  switch (look) {
    case Look::uncommitted:
      return " ";
    case Look::free:
      return "·";
    case Look::cached:
      return "░";
    case Look::in_use:
      return "█";
    case Look::shared:
      return "▓";
  }
  return " ";
}

Look look_of(const BlockSnapshot& block) {
  if (block.state == BlockState::free) return Look::free;
  if (block.state == BlockState::cached) return Look::cached;
  return block.owners.size() > 1 ? Look::shared : Look::in_use;
}

double percent(int64_t part, int64_t whole) {
  return whole > 0 ? 100.0 * static_cast<double>(part) / static_cast<double>(whole) : 0.0;
}

void draw_blocks(const CacheSnapshot& snapshot, int width, std::string& out) {
  std::vector<Look> looks(static_cast<size_t>(snapshot.blocks_total), Look::uncommitted);
  for (const BlockSnapshot& block : snapshot.blocks) {
    looks[static_cast<size_t>(block.block)] = look_of(block);
  }
  // Memory that was never touched says nothing.
  while (!looks.empty() && looks.back() == Look::uncommitted) looks.pop_back();
  const auto columns = static_cast<size_t>(std::max(width, 20));
  const size_t per_character = (looks.size() + columns * kMostLines - 1) / (columns * kMostLines);
  size_t column = 0;
  for (size_t i = 0; i < looks.size(); i += per_character) {
    const size_t end = std::min(looks.size(), i + per_character);
    out += character(*std::max_element(looks.begin() + static_cast<std::ptrdiff_t>(i),
                                       looks.begin() + static_cast<std::ptrdiff_t>(end)));
    if (++column % columns == 0) out += '\n';
  }
  if (column % columns != 0) out += '\n';
  if (per_character > 1) {
    fmt::format_to(std::back_inserter(out), "(a character for {} blocks, the busiest of them)\n",
                   per_character);
  }
}

}  // namespace

std::string hit_rate(const EngineStats& stats) {
  return fmt::format("{} of {} prompt tokens found in the cache ({:.0f} %)",
                     stats.prefix_hit_tokens, stats.prefix_query_tokens,
                     percent(stats.prefix_hit_tokens, stats.prefix_query_tokens));
}

std::string cache_picture(const CacheSnapshot& snapshot, const EngineStats& stats, int width) {
  std::string out;
  draw_blocks(snapshot, width, out);
  fmt::format_to(std::back_inserter(out),
                 "{} {} blocks in use, {} {} of them shared, {} {} cached, {} {} free; {} without "
                 "memory; {} tokens each\n",
                 character(Look::in_use), snapshot.blocks_in_use, character(Look::shared),
                 snapshot.blocks_shared, character(Look::cached), snapshot.blocks_cached,
                 character(Look::free), snapshot.blocks_free, snapshot.blocks_uncommitted,
                 snapshot.block_size);
  fmt::format_to(std::back_inserter(out), "{} of {} slots in use are empty ({:.1f} %); {}\n",
                 snapshot.wasted_slots(), snapshot.owned_slots,
                 percent(snapshot.wasted_slots(), snapshot.owned_slots), hit_rate(stats));
  if (snapshot.host_slots > 0) {
    fmt::format_to(std::back_inserter(out), "host tier: {} of {} blocks\n",
                   snapshot.host_slots_used, snapshot.host_slots);
  }
  if (stats.disk_blocks > 0) {
    fmt::format_to(std::back_inserter(out), "disk tier: {} blocks\n", stats.disk_blocks);
  }
  return out;
}

}  // namespace octavo::cli
