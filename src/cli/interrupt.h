// Ctrl-C as something that a command can ask about and react to, in place of the program's end.
//
// Interrupt holds the handler of SIGINT while it lives; there is one at a time, made and destroyed
// by the main thread. System calls that wait are broken off (EINTR), so that a prompt for input
// notices. OnInterrupt runs an action in a thread of its own when the signal has come; the action
// must be safe beside whatever the main thread does meanwhile.
#pragma once

#include <csignal>
#include <functional>
#include <thread>

namespace octavo::cli {

class Interrupt {
 public:
  Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  ~Interrupt();

  bool pending() const;
  void clear();

 private:
  struct sigaction previous_ = {};
};

class OnInterrupt {
 public:
  OnInterrupt(const Interrupt& interrupt, std::function<void()> action);
  ~OnInterrupt() = default;  // the action is over, or will not happen

 private:
  std::jthread watcher_;
};

}  // namespace octavo::cli
