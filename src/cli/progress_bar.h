// ProgressBar: one line on standard error that says how far a job is and what the engine does.
//
// A thread of its own draws it from the engine's figures several times a second, and takes it away
// when the bar is destroyed. Refers to the engine, which must outlive it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "octavo/engine.h"
#include "octavo/result.h"

namespace octavo::cli {

// The line itself, at most `columns` wide. `tokens_per_second` counts generated tokens.
std::string progress_line(const EngineStats& stats, int64_t done, int64_t total,
                          double tokens_per_second, int64_t columns);

class ProgressBar {
 public:
  // Draws nothing when standard error is not a terminal.
  ProgressBar(const Engine& engine, int64_t total);
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar();

  // Runs `print` with the bar out of the way: what it prints may go to the same terminal.
  Result<void> print_above(const std::function<Result<void>()>& print);
  void set_done(int64_t done) { done_ = done; }

 private:
  void run(const std::stop_token& stop);

  const Engine& engine_;
  const int64_t total_;
  std::atomic<int64_t> done_{0};
  std::mutex screen_;    // held while something is printed
  std::jthread thread_;  // last: it uses everything above
};

}  // namespace octavo::cli
