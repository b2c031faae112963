// Numbers gathered for Prometheus, and its text format, version 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats).
//
// Thread safety: Counter and Histogram take any thread; a PrometheusText belongs to one.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace octavo::server {

class Counter {
 public:
  void increment() { value_.fetch_add(1, std::memory_order_relaxed); }
  int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_ = 0;
};

// How many of the observed values are at most each of some bounds.
class Histogram {
 public:
  // `bounds` ascend, and outlive this.
  explicit Histogram(std::span<const double> bounds)
      : bounds_(bounds), counts_(bounds.size() + 1) {}

  void observe(double value);

  // What was observed up to one moment.
  struct Counts {
    std::vector<int64_t> at_most;  // each bound; the last one is the number of all values
    double sum = 0.0;
  };
  Counts counts() const;
  std::span<const double> bounds() const { return bounds_; }

 private:
  std::span<const double> bounds_;
  mutable std::mutex mutex_;
  std::vector<int64_t> counts_;  // above the bound before, the last above them all
  double sum_ = 0.0;
};

// Writes metrics one family after the other. Names, help and labels are the program's own and have
// no character that would have to be escaped: neither quote, backslash nor line feed.
class PrometheusText {
 public:
  void gauge(std::string_view name, std::string_view help, double value);
  void counter(std::string_view name, std::string_view help, int64_t value);
  void histogram(std::string_view name, std::string_view help, const Histogram& histogram);

  // Values of one family, one for each value of its label.
  struct Labelled {
    std::string_view label_value;
    int64_t value;
  };
  void labelled_gauge(std::string_view name, std::string_view help, std::string_view label,
                      std::span<const Labelled> values);
  void labelled_counter(std::string_view name, std::string_view help, std::string_view label,
                        std::span<const Labelled> values);

  const std::string& text() const { return text_; }

 private:
  void begin(std::string_view name, std::string_view help, std::string_view type);
  void add(std::string_view name, std::string_view label, std::span<const Labelled> values);

  std::string text_;
};

}  // namespace octavo::server
