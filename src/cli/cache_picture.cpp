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

struct Paint {
  const char* character;
  const char* colour;  // an attribute of the terminal
};

// Without colours, the density tells them apart.
Paint paint_of(Look look) {
  switch (look) {
    case Look::uncommitted:
      return {" ", "0"};
    case Look::free:
      return {"·", "2"};  // faint
    case Look::cached:
      return {"░", "2"};
    case Look::in_use:
      return {"▒", "32"};  // green
    case Look::shared:
      return {"█", "33"};  // yellow
  }
  return {" ", "0"};
}

void draw(std::string& out, Look look, size_t count, bool colour) {
  const Paint paint = paint_of(look);
  if (colour) out += fmt::format("\x1b[{}m", paint.colour);
  for (size_t i = 0; i < count; ++i) out += paint.character;
  if (colour) out += "\x1b[0m";
}

std::string mark(Look look, bool colour) {
  std::string out;
  draw(out, look, 1, colour);
  return out;
}

Look look_of(const BlockSnapshot& block) {
  if (block.state == BlockState::free) return Look::free;
  if (block.state == BlockState::cached) return Look::cached;
  return block.owners.size() > 1 ? Look::shared : Look::in_use;
}

double percent(int64_t part, int64_t whole) {
  return whole > 0 ? 100.0 * static_cast<double>(part) / static_cast<double>(whole) : 0.0;
}

void draw_blocks(const CacheSnapshot& snapshot, int width, bool colour, std::string& out) {
  std::vector<Look> looks(static_cast<size_t>(snapshot.blocks_total), Look::uncommitted);
  for (const BlockSnapshot& block : snapshot.blocks) {
    looks[static_cast<size_t>(block.block)] = look_of(block);
  }
  // Memory that was never touched says nothing.
  while (!looks.empty() && looks.back() == Look::uncommitted) looks.pop_back();
  const auto columns = static_cast<size_t>(std::max(width, 20));
  const size_t per_character = (looks.size() + columns * kMostLines - 1) / (columns * kMostLines);
  std::vector<Look> drawn;  // by character
  for (size_t i = 0; i < looks.size(); i += per_character) {
    const size_t end = std::min(looks.size(), i + per_character);
    drawn.push_back(*std::max_element(looks.begin() + static_cast<std::ptrdiff_t>(i),
                                      looks.begin() + static_cast<std::ptrdiff_t>(end)));
  }
  // Equal neighbours in a line are drawn at once.
  for (size_t i = 0; i < drawn.size();) {
    const size_t line_end = std::min(drawn.size(), (i / columns + 1) * columns);
    size_t end = i + 1;
    while (end < line_end && drawn[end] == drawn[i]) ++end;
    draw(out, drawn[i], end - i, colour);
    if (end == line_end) out += '\n';
    i = end;
  }
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

std::string cache_picture(const CacheSnapshot& snapshot, const EngineStats& stats, int width,
                          bool colour) {
  std::string out;
  draw_blocks(snapshot, width, colour, out);
  fmt::format_to(std::back_inserter(out),
                 "{} {} blocks in use, {} {} of them shared, {} {} cached, {} {} free; {} without "
                 "memory; {} tokens each\n",
                 mark(Look::in_use, colour), snapshot.blocks_in_use, mark(Look::shared, colour),
                 snapshot.blocks_shared, mark(Look::cached, colour), snapshot.blocks_cached,
                 mark(Look::free, colour), snapshot.blocks_free, snapshot.blocks_uncommitted,
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
