#include "server/prometheus_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace octavo::server {

void Histogram::observe(double value) {
  const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  const std::lock_guard lock(mutex_);
  ++counts_[static_cast<size_t>(bucket)];
  sum_ += value;
}

Histogram::Counts Histogram::counts() const {
  const std::lock_guard lock(mutex_);
  Counts counts{counts_, sum_};
  for (size_t i = 1; i < counts.at_most.size(); ++i) counts.at_most[i] += counts.at_most[i - 1];
  return counts;
}

void PrometheusText::begin(std::string_view name, std::string_view help, std::string_view type) {
  fmt::format_to(std::back_inserter(text_), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

void PrometheusText::gauge(std::string_view name, std::string_view help, double value) {
  begin(name, help, "gauge");
  fmt::format_to(std::back_inserter(text_), "{} {}\n", name, value);
}

void PrometheusText::counter(std::string_view name, std::string_view help, int64_t value) {
  begin(name, help, "counter");
  fmt::format_to(std::back_inserter(text_), "{} {}\n", name, value);
}

void PrometheusText::histogram(std::string_view name, std::string_view help,
                               const Histogram& histogram) {
  begin(name, help, "histogram");
  const Histogram::Counts counts = histogram.counts();
  const auto out = std::back_inserter(text_);
  for (size_t i = 0; i < histogram.bounds().size(); ++i) {
    fmt::format_to(out, "{}_bucket{{le=\"{}\"}} {}\n", name, histogram.bounds()[i],
                   counts.at_most[i]);
  }
  fmt::format_to(out, "{0}_bucket{{le=\"+Inf\"}} {1}\n{0}_sum {2}\n{0}_count {1}\n", name,
                 counts.at_most.back(), counts.sum);
}

void PrometheusText::labelled_gauge(std::string_view name, std::string_view help,
                                    std::string_view label, std::span<const Labelled> values) {
  begin(name, help, "gauge");
  add(name, label, values);
}

void PrometheusText::labelled_counter(std::string_view name, std::string_view help,
                                      std::string_view label, std::span<const Labelled> values) {
  begin(name, help, "counter");
  add(name, label, values);
}

void PrometheusText::add(std::string_view name, std::string_view label,
                         std::span<const Labelled> values) {
  for (const Labelled& each : values) {
    fmt::format_to(std::back_inserter(text_), "{}{{{}=\"{}\"}} {}\n", name, label, each.label_value,
                   each.value);
  }
}

}  // namespace octavo::server
