// octavo bench throughput: how long many requests take that come all at once.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/bench.h"
#include "cli/bench_run.h"
#include "cli/engine_options.h"
#include "cli/input.h"
#include "cli/load_report.h"
#include "simulate/trace.h"

namespace octavo::cli {
namespace {

struct Options {
  EngineConfig config;
  int32_t requests = 32;
  int32_t input_tokens = 512;
  int32_t output_tokens = 128;
  std::string trace;
  std::string json;
};

Result<std::vector<PlannedRequest>> make_plan(const Options& options,
                                              const simulate::Workload& trace,
                                              const ModelInfo& model) {
  if (options.trace.empty()) {
    return plan_shared_prefix({.requests = options.requests,
                               .shared_tokens = 0,
                               .own_tokens = options.input_tokens,
                               .output_tokens = options.output_tokens},
                              model.vocabulary, 1);
  }
  auto plan = plan_trace(trace, model.context_length, 1, model.vocabulary, 1);
  if (plan.empty()) {
    return invalid_input("{}: no request fits a context of {} tokens", options.trace,
                         model.context_length);
  }
  plan.resize(std::min(plan.size(), static_cast<size_t>(options.requests)));
  return plan;
}

nlohmann::ordered_json utilisation(const BenchSubject& subject, const LoadReport& report,
                                   const std::vector<PlannedRequest>& plan, int64_t steps) {
  double operations = 0;
  double bytes = static_cast<double>(steps) * subject.cost.weight_bytes;
  for (const PlannedRequest& request : plan) {
    const int64_t prompt = std::ssize(request.prompt);
    operations += subject.cost.operations(prompt, request.output_tokens);
    bytes += subject.cost.decode_kv_bytes(prompt, request.output_tokens);
  }
  return {{"steps", steps},
          {"bytes_per_second", report.per_second(bytes)},
          {"operations_per_second", report.per_second(operations)},
          {"percent_of_copy", 100 * report.per_second(bytes) / subject.probe.copy_bytes_per_s},
          {"percent_of_product",
           100 * report.per_second(operations) / subject.probe.product_operations_per_s}};
}

// The seconds are counted from the first submission to the last token.
Result<nlohmann::ordered_json> measure(const Options& options, const simulate::Workload& trace,
                                       const BenchSubject& subject) {
  Engine& engine = *subject.engine;
  OCTAVO_ASSIGN(const auto plan, make_plan(options, trace, engine.model()));
  // A short request of other tokens warms up.
  const SharedPrefixShape warm_up = {
      .requests = 1, .shared_tokens = 0, .own_tokens = 8, .output_tokens = 8};
  OCTAVO_TRY(check_all_answered(
      run_requests(engine, plan_shared_prefix(warm_up, engine.model().vocabulary, 2))));
  const int64_t steps_before = engine.stats().steps;
  const auto records = run_requests(engine, plan);
  OCTAVO_TRY(check_all_answered(records));
  const LoadReport report = make_report(records, {});
  nlohmann::ordered_json json = subject.to_json();
  json["load"] = to_json(report);
  json["utilisation"] = utilisation(subject, report, plan, engine.stats().steps - steps_before);
  fmt::print(
      "{}\n{}\n{} steps; {:.1f} GB/s, {:.1f} % of the copy; {:.1f} GFLOP/s, {:.1f} % of the "
      "product\n",
      subject.format(), format_report(report), json["utilisation"]["steps"].get<int64_t>(),
      json["utilisation"]["bytes_per_second"].get<double>() / 1e9,
      json["utilisation"]["percent_of_copy"].get<double>(),
      json["utilisation"]["operations_per_second"].get<double>() / 1e9,
      json["utilisation"]["percent_of_product"].get<double>());
  return json;
}

Result<simulate::Workload> read_trace(const std::string& path) {
  if (path.empty()) return simulate::Workload{};
  OCTAVO_ASSIGN(const std::string content, read_input(path));
  return simulate::parse_trace(path, content);
}

int run_throughput(const Options& options) {
  const auto trace = read_trace(options.trace);
  if (!trace) return fail(trace.error());
  const auto subject = start_subject(options.config, options.requests);
  if (!subject) return fail(subject.error());
  const auto json = measure(options, *trace, *subject);
  if (!json) return fail(json.error());
  const Result<void> written = write_json(options.json, *json);
  return written ? exit_ok : fail(written.error());
}

}  // namespace

Command add_bench_throughput(CLI::App& bench) {
  auto options = std::make_shared<Options>();
  CLI::App* app = bench.add_subcommand(
      "throughput",
      "Answer many requests that come at once, and tell how many tokens a second that makes. "
      "Percentages are of what a probe of the same device attains.");
  add_engine_options(*app, options->config);
  const auto add = [app](const char* flag, int32_t& value, const char* help) {
    return app->add_option(flag, value, help)
        ->type_name("N")
        ->check(between(1, 1 << 20))
        ->capture_default_str();
  };
  add("--requests", options->requests, "How many; of a trace, the first that fit the context.");
  CLI::Option* input = add("--input-tokens", options->input_tokens, "Tokens of each prompt.");
  CLI::Option* output =
      add("--output-tokens", options->output_tokens, "Tokens to generate for each.");
  app->add_option("--trace", options->trace,
                  "Take the lengths of this trace instead: Azure's CSV or Mooncake's JSON lines.")
      ->type_name("FILE")
      ->excludes(input)
      ->excludes(output);
  app->add_option("--json", options->json, "Write the figures to this file, too.")
      ->type_name("FILE");
  app->footer(
      "octavo bench throughput model.gguf --requests 256 --kv-memory 16GiB\n"
      "octavo bench throughput model.gguf --trace AzureLLMInferenceTrace_conv.csv --requests 500");
  return {app, [options] { return run_throughput(*options); }};
}

}  // namespace octavo::cli
