#include "cli/load_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "simulate/table.h"

namespace octavo::cli {
namespace {

double nearest_rank(const std::vector<double>& sorted, double share) {
  const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return sorted[std::max<size_t>(rank, 1) - 1];
}

// 0 for a request of one token.
double mean_gap(const RequestRecord& record) {
  if (record.output_tokens < 2) return 0;
  return (record.last_s - record.first_s) / static_cast<double>(record.output_tokens - 1);
}

bool keeps(double value, double limit) {
  return limit == 0 || value <= limit;
}

nlohmann::ordered_json spread_json(const Spread& spread) {
  return {{"mean", spread.mean},
          {"p50", spread.p50},
          {"p90", spread.p90},
          {"p99", spread.p99},
          {"max", spread.most}};
}

}  // namespace

Spread spread_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  return {.mean = sum / static_cast<double>(values.size()),
          .p50 = nearest_rank(values, 0.5),
          .p90 = nearest_rank(values, 0.9),
          .p99 = nearest_rank(values, 0.99),
          .most = values.back()};
}

LoadReport make_report(const std::vector<RequestRecord>& records, const ServiceLimits& limits) {
  LoadReport report;
  report.requests = std::ssize(records);
  double begin = INFINITY;
  double end = -INFINITY;
  std::vector<double> first;
  std::vector<double> between;
  std::vector<double> per_token;
  std::vector<double> whole;
  for (const RequestRecord& record : records) {
    begin = std::min(begin, record.asked_s);
    if (!record.ok()) {
      ++report.failed;
      if (report.first_error.empty()) report.first_error = record.error;
      continue;
    }
    end = std::max(end, record.last_s);
    report.prompt_tokens += record.prompt_tokens;
    report.cached_tokens += record.cached_tokens;
    report.output_tokens += record.output_tokens;
    first.push_back(record.first_s - record.asked_s);
    whole.push_back(record.last_s - record.asked_s);
    if (record.output_tokens > 1) per_token.push_back(mean_gap(record));
    between.insert(between.end(), record.gaps_s.begin(), record.gaps_s.end());
    const bool is_good = keeps(first.back(), limits.first_token_s) &&
                         keeps(mean_gap(record), limits.per_token_s) &&
                         keeps(whole.back(), limits.whole_s);
    if (is_good) ++report.good;
  }
  report.seconds = std::max(0.0, end - begin);
  report.first_token = spread_of(std::move(first));
  report.between_tokens = spread_of(std::move(between));
  report.per_token = spread_of(std::move(per_token));
  report.whole = spread_of(std::move(whole));
  return report;
}

std::string format_report(const LoadReport& report) {
  simulate::Table table;
  table.columns = {{"time", "milliseconds"}, {"mean", "mean"}, {"p50", "p50"},
                   {"p90", "p90"},           {"p99", "p99"},   {"max", "max"}};
  const auto add = [&table](const char* name, const Spread& spread) {
    const auto ms = [](double seconds) { return simulate::Number{seconds * 1000.0, 1}; };
    table.rows.push_back({std::string(name), ms(spread.mean), ms(spread.p50), ms(spread.p90),
                          ms(spread.p99), ms(spread.most)});
  };
  add("to the first token", report.first_token);
  add("between tokens", report.between_tokens);
  add("per token, of a request", report.per_token);
  add("whole request", report.whole);
  std::string text = fmt::format(
      "{} requests in {:.2f} s, {} failed\n"
      "{} prompt tokens, {} of them found by the server; {} tokens generated\n"
      "{:.2f} requests/s, {:.1f} generated tokens/s, {:.1f} tokens/s with the prompts'\n"
      "goodput: {} requests within the limits, {:.2f}/s\n\n",
      report.requests, report.seconds, report.failed, report.prompt_tokens, report.cached_tokens,
      report.output_tokens, report.per_second(static_cast<double>(report.requests - report.failed)),
      report.per_second(static_cast<double>(report.output_tokens)),
      report.per_second(static_cast<double>(report.output_tokens + report.prompt_tokens)),
      report.good, report.per_second(static_cast<double>(report.good)));
  text += simulate::format_table(table);
  if (report.failed > 0) text += fmt::format("\nthe first failure: {}\n", report.first_error);
  return text;
}

nlohmann::ordered_json to_json(const LoadReport& report) {
  return {
      {"requests", report.requests},
      {"failed", report.failed},
      {"good", report.good},
      {"seconds", report.seconds},
      {"prompt_tokens", report.prompt_tokens},
      {"cached_tokens", report.cached_tokens},
      {"output_tokens", report.output_tokens},
      {"output_tokens_per_second", report.per_second(static_cast<double>(report.output_tokens))},
      {"goodput_per_second", report.per_second(static_cast<double>(report.good))},
      {"seconds_to_first_token", spread_json(report.first_token)},
      {"seconds_between_tokens", spread_json(report.between_tokens)},
      {"seconds_per_token", spread_json(report.per_token)},
      {"seconds_of_request", spread_json(report.whole)},
      {"first_error", report.first_error}};
}

}  // namespace octavo::cli
