// Draws how the bookkeeping of a step grows with the sequences, from what sched_bench measured:
//
//   sched_bench --benchmark_repetitions=9 --benchmark_out=growth.json
//   growth_plot < growth.json > growth.svg
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "simulate/chart.h"

namespace octavo {
namespace {

// What a step of 1,000 sequences may cost.
constexpr double kMostUs = 200;

struct Point {
  int sequences = 0;
  double time_us = 0;
};

// The medians of the runs named "plan_and_commit/<sequences>".
std::vector<Point> read_points(const nlohmann::json& document) {
  constexpr std::string_view kName = "plan_and_commit/";
  std::vector<Point> points;
  for (const nlohmann::json& run : document.at("benchmarks")) {
    const auto name = run.at("run_name").get<std::string>();
    const bool is_median = run.value("aggregate_name", "") == "median";
    if (!name.starts_with(kName) || !is_median || run.at("time_unit") != "us") continue;
    Point point{.time_us = run.at("cpu_time").get<double>()};
    const char* const end = name.data() + name.size();
    const auto parsed = std::from_chars(name.data() + kName.size(), end, point.sequences);
    if (parsed.ec == std::errc{} && parsed.ptr == end) points.push_back(point);
  }
  return points;
}

double power_of_ten(double value, double (*round)(double)) {
  return std::pow(10, round(std::log10(value)));
}

std::string draw(const std::vector<Point>& points) {
  simulate::Chart chart{.kind = simulate::Chart::Kind::lines,
                        .title = "Microseconds for plan and commit of a step",
                        .label_title = "running sequences",
                        .series = {{"measured", {}}, {"200 for 1,000, in proportion", {}}},
                        .minimum = power_of_ten(points.front().time_us, std::floor),
                        .maximum = power_of_ten(points.back().time_us, std::ceil),
                        .logarithmic = true};
  for (const Point& point : points) {
    chart.labels.push_back(std::to_string(point.sequences));
    chart.series[0].values.push_back(point.time_us);
    chart.series[1].values.push_back(kMostUs * point.sequences / 1000);
  }
  const std::vector<std::string> lines = {fmt::format(
      "one token a sequence, finished ones replaced; one core, {:.0f} ns a sequence at {}",
      points.back().time_us * 1000 / points.back().sequences, points.back().sequences)};
  return simulate::draw_svg("What a step's bookkeeping costs", lines, {&chart, 1});
}

}  // namespace
}  // namespace octavo

int main() {
  const auto document = nlohmann::json::parse(std::cin, nullptr, /*allow_exceptions=*/false);
  const bool is_result = document.is_object() && document.contains("benchmarks");
  const std::vector<octavo::Point> points =
      is_result ? octavo::read_points(document) : std::vector<octavo::Point>{};
  if (points.empty()) {
    std::cerr << "growth_plot: no medians of plan_and_commit in the JSON on standard input\n";
    return 1;
  }
  std::cout << octavo::draw(points);
  return 0;
}
