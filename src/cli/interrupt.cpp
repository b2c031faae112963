#include "cli/interrupt.h"

#include <atomic>
#include <chrono>
#include <utility>

namespace octavo::cli {
namespace {

constexpr auto kPollInterval = std::chrono::milliseconds(20);

// A signal handler can reach only what is global.
std::atomic<bool> is_interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "used in a signal handler");

void note_interrupt(int) {
  is_interrupted = true;
}

}  // namespace

Interrupt::Interrupt() {
  is_interrupted = false;
  struct sigaction action = {};
  action.sa_handler = note_interrupt;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &previous_);
}

Interrupt::~Interrupt() {
  sigaction(SIGINT, &previous_, nullptr);
}

bool Interrupt::pending() const {
  return is_interrupted;
}

void Interrupt::clear() {
  is_interrupted = false;
}

OnInterrupt::OnInterrupt(const Interrupt& interrupt, std::function<void()> action)
    : watcher_([&interrupt, action = std::move(action)](const std::stop_token& stop) {
        while (!stop.stop_requested()) {
          if (interrupt.pending()) {
            action();
            return;
          }
          std::this_thread::sleep_for(kPollInterval);
        }
      }) {}

}  // namespace octavo::cli
