// Metrics: what GET /metrics tells Prometheus, under vLLM's names with the prefix "octavo:".
//
// What the engine counts is read when it is asked for; the times of requests and the refusals are
// gathered here, as they happen. Thread safety: any thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "octavo/engine.h"
#include "server/exchange.h"
#include "server/prometheus_text.h"

namespace octavo::server {

class Metrics {
 public:
  void count_rejection(Rejection reason);

  // Everything in Prometheus' text format.
  std::string scrape(const EngineStats& stats) const;

 private:
  friend class RequestTimes;
  static constexpr size_t kRejections = 7;
  static constexpr size_t kFinishes = 4;  // stop, length, cancelled, no_memory
  // Bounds of the buckets for all times, in seconds: three for each power of ten.
  static constexpr std::array kSeconds = {0.001, 0.002, 0.005, 0.01,  0.02,  0.05, 0.1,
                                          0.2,   0.5,   1.0,   2.0,   5.0,   10.0, 20.0,
                                          50.0,  100.0, 200.0, 500.0, 1000.0};

  std::array<Counter, kRejections> rejections_;
  std::array<Counter, kFinishes> finishes_;
  Histogram time_to_first_token_{kSeconds};
  Histogram inter_token_latency_{kSeconds};
  Histogram time_per_output_token_{kSeconds};
  Histogram whole_time_{kSeconds};
  Histogram queue_time_{kSeconds};
  Histogram prefill_time_{kSeconds};
  Histogram decode_time_{kSeconds};
};

// The times of one request as its reader sees them: from its events to the metrics. One thread; the
// metrics outlive it.
class RequestTimes {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  RequestTimes(Metrics& metrics, int32_t outputs, TimePoint submitted);

  void add(const Event& event, TimePoint now);
  // No more events come: what has not finished was given up.
  void end();

 private:
  struct Output {
    int64_t tokens = 0;
    TimePoint first{};  // of its tokens
    TimePoint last{};
    bool finished = false;
  };

  void add_tokens(Output& output, int64_t tokens, TimePoint now);
  void finish(Output& output, FinishReason reason, TimePoint now);

  Metrics* metrics_;
  TimePoint submitted_;
  TimePoint begun_;  // its prompt's first step
  bool has_tokens_ = false;
  std::vector<Output> outputs_;
  size_t unfinished_;
};

}  // namespace octavo::server
