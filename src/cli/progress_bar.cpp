#include "cli/progress_bar.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <deque>
#include <utility>

#include "cli/terminal.h"

namespace octavo::cli {
namespace {

constexpr auto kInterval = std::chrono::milliseconds(200);
constexpr size_t kRateSamples = 15;  // the rate is that of the last 3 seconds
constexpr int64_t kBarColumns = 20;
constexpr const char* kClearLine = "\r\x1b[K";

}  // namespace

std::string progress_line(const EngineStats& stats, int64_t done, int64_t total,
                          double tokens_per_second, int64_t columns) {
  const int64_t filled = total > 0 ? kBarColumns * done / total : 0;
  std::string line = fmt::format(
      "[{:<{}}] {}/{}  {:.1f} tokens/s  {} running  {} waiting  {}/{} blocks",
      std::string(static_cast<size_t>(filled), '='), kBarColumns, done, total, tokens_per_second,
      stats.running, stats.waiting, stats.blocks_in_use, stats.blocks_total);
  // A line that wraps could not be drawn over.
  line.resize(std::min(line.size(), static_cast<size_t>(std::max<int64_t>(columns - 1, 0))));
  return line;
}

ProgressBar::ProgressBar(const Engine& engine, int64_t total) : engine_(engine), total_(total) {
  if (!is_terminal(stderr)) return;
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

ProgressBar::~ProgressBar() = default;

Result<void> ProgressBar::print_above(const std::function<Result<void>()>& print) {
  const std::lock_guard lock(screen_);
  if (thread_.joinable()) std::fputs(kClearLine, stderr);
  return print();
}

void ProgressBar::run(const std::stop_token& stop) {
  using Clock = std::chrono::steady_clock;
  std::deque<std::pair<Clock::time_point, int64_t>> samples;
  while (!stop.stop_requested()) {
    const EngineStats stats = engine_.stats();
    samples.emplace_back(Clock::now(), stats.generated_tokens);
    if (samples.size() > kRateSamples) samples.pop_front();
    const std::chrono::duration<double> span = samples.back().first - samples.front().first;
    const auto tokens = static_cast<double>(samples.back().second - samples.front().second);
    const double rate = span.count() > 0 ? tokens / span.count() : 0.0;
    {
      const std::lock_guard lock(screen_);
      const std::string line = progress_line(stats, done_, total_, rate, terminal_columns(stderr));
      std::fputs((kClearLine + line).c_str(), stderr);
    }
    std::this_thread::sleep_for(kInterval);
  }
  std::fputs(kClearLine, stderr);
}

}  // namespace octavo::cli
