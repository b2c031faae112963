// scheduler_simulator [--requests N | --minutes M] [--seed S]: a long run of the scheduler
// simulator, by hand.
#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <string_view>

#include "sched/simulator.h"

namespace {

template <class Number>
bool parse(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

int main(int argc, char** argv) {
  octavo::sim::SimulationOptions options;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    const std::string_view value = i + 1 < argc ? argv[i + 1] : "";
    const bool known = (name == "--requests" && parse(value, options.requests)) ||
                       (name == "--minutes" && parse(value, options.minutes)) ||
                       (name == "--seed" && parse(value, options.seed));
    if (!known) {
      fmt::print(stderr, "usage: scheduler_simulator [--requests N | --minutes M] [--seed S]\n");
      return 2;
    }
  }
  const auto start = std::chrono::steady_clock::now();
  const octavo::sim::SimulationReport report = octavo::sim::simulate(options);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  const octavo::SchedulerCounters& counters = report.counters;
  fmt::print(
      "{} worlds, {:.1f} simulated minutes, {} requests finished, {} cancelled, {} steps, {} "
      "tokens "
      "computed in {:.1f} s\n",
      report.worlds, static_cast<double>(report.simulated_ms) / 60000, report.finished,
      report.cancelled, report.steps, report.tokens, seconds.count());
  fmt::print(
      "{} preemptions, {} of them by swap, {} blocks to the host tier, {} from it, {} from the "
      "disk\n",
      counters.preemptions, counters.swap_preemptions, counters.swapped_out, counters.swapped_in,
      report.offered);
  fmt::print(
      "{} evictions, {} copies, {} of {} prompt tokens found, {} plans with partial hits, {} "
      "choices "
      "among beams\n",
      counters.evictions, counters.copies, counters.prefix_hit_tokens, counters.prefix_query_tokens,
      report.partial_hits, report.beam_choices);
  fmt::print("memory was refused {} times, {} requests starved\n", report.refusals, report.starved);
  fmt::print("{} samples truncated, {} with several tokens, {} void, {} extents released\n",
             report.truncations, report.several, report.voided, report.extents_released);
  if (report.failure) {
    fmt::print(stderr, "failed: {}\n", *report.failure);
    return 1;
  }
  return 0;
}
