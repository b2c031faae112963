// Arrivals: walks through a workload as its time comes, and says when a run is to be measured.
//
// Borrows the workload, which must outlive it.
#pragma once

#include <cstdint>

#include "simulate/workload.h"

namespace octavo::simulate {

class Arrivals {
 public:
  explicit Arrivals(const Workload& workload) : workload_(workload) {}

  double now_s() const { return now_s_; }
  void advance(double seconds) { now_s_ += seconds; }

  bool all_came() const { return next_ == workload_.requests.size(); }
  // The next request if it is there by now, or nullptr.
  const Request* waiting() const {
    if (all_came() || workload_.requests[next_].arrival_s > now_s_) return nullptr;
    return &workload_.requests[next_];
  }
  void take() { ++next_; }
  // Nothing is left to do until the next request comes; there must be one.
  void sleep() { now_s_ = workload_.requests[next_].arrival_s; }

  // Whether a tenth of the requests is done and not yet all are started.
  bool is_measured(int64_t done, int64_t queued) const {
    return done * 10 >= static_cast<int64_t>(workload_.requests.size()) &&
           !(all_came() && queued == 0);
  }

 private:
  const Workload& workload_;
  size_t next_ = 0;
  double now_s_ = 0;
};

}  // namespace octavo::simulate
