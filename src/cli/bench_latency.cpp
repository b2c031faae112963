// octavo bench latency: how long prompts and tokens take, for sizes of batches and lengths.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "cli/bench.h"
#include "cli/bench_latency.h"
#include "cli/bench_run.h"
#include "cli/engine_options.h"
#include "cli/load_report.h"

namespace octavo::cli {
namespace {

struct Options {
  EngineConfig config;
  std::vector<int32_t> batch_sizes = {1};
  std::vector<int32_t> input_tokens = {512};
  std::vector<int32_t> output_tokens = {128};
  int32_t repeats = 3;
  std::string json;
};

// One measurement of a batch. Prompts come first, alone; then the same requests with their answers,
// so that all of them decode at once: their prompts are found in the cache.
Result<LatencySample> measure(Engine& engine, const LatencyShape& shape, uint64_t seed) {
  const SharedPrefixShape load = {.requests = shape.batch_size,
                                  .shared_tokens = 0,
                                  .own_tokens = shape.input_tokens,
                                  .output_tokens = 1};
  std::vector<PlannedRequest> plan = plan_shared_prefix(load, engine.model().vocabulary, seed);
  const auto prompts = run_requests(engine, plan);
  OCTAVO_TRY(check_all_answered(prompts));
  const LoadReport prompt_report = make_report(prompts, {});
  LatencySample sample = {.first_token_s = prompt_report.first_token.p50,
                          .prompts_s = prompt_report.first_token.most};
  if (shape.output_tokens == 1) return sample;
  for (PlannedRequest& request : plan) request.output_tokens = shape.output_tokens;
  const auto answers = run_requests(engine, plan);
  OCTAVO_TRY(check_all_answered(answers));
  sample.token_s = make_report(answers, {}).per_token.p50;
  return sample;
}

Result<simulate::Table> measure_all(const Options& options, const BenchSubject& subject) {
  simulate::Table table = latency_table();
  uint64_t seed = 0;  // prompts that nobody has seen before
  for (const int32_t batch_size : options.batch_sizes) {
    for (const int32_t input : options.input_tokens) {
      for (const int32_t output : options.output_tokens) {
        const LatencyShape shape = {batch_size, input, output};
        OCTAVO_TRY(measure(*subject.engine, shape, ++seed));  // warms up
        std::vector<LatencySample> samples;
        for (int32_t i = 0; i < options.repeats; ++i) {
          OCTAVO_ASSIGN(const LatencySample sample, measure(*subject.engine, shape, ++seed));
          samples.push_back(sample);
        }
        table.rows.push_back(latency_row(shape, samples, subject.cost, subject.probe));
      }
    }
  }
  return table;
}

int run_latency(const Options& options) {
  const int32_t largest = *std::max_element(options.batch_sizes.begin(), options.batch_sizes.end());
  EngineConfig config = options.config;
  config.max_sequences = std::max<int64_t>(config.max_sequences, largest);
  config.batch_tokens = std::max<int64_t>(config.batch_tokens, largest);
  const auto subject = start_subject(config, largest);
  if (!subject) return fail(subject.error());
  const Result<simulate::Table> table = measure_all(options, *subject);
  if (!table) return fail(table.error());
  fmt::print("{}\n{}", subject->format(), simulate::format_table(*table));
  nlohmann::ordered_json json = subject->to_json();
  json["measurements"] = simulate::to_json(*table);
  const Result<void> written = write_json(options.json, json);
  return written ? exit_ok : fail(written.error());
}

void add_list(CLI::App& app, const char* flag, std::vector<int32_t>& values, const char* help) {
  app.add_option(flag, values, help)
      ->delimiter(',')
      ->check(between(1, 1 << 20))
      ->type_name("N,...")
      ->default_str(fmt::format("{}", fmt::join(values, ",")));
}

}  // namespace

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

simulate::Table latency_table() {
  simulate::Table table;
  table.columns = {{"batch_size", "batch"},
                   {"input_tokens", "input"},
                   {"output_tokens", "output"},
                   {"first_token_ms", "first ms"},
                   {"prompt_tokens_per_second", "prompt/s"},
                   {"prompt_gflops", "GFLOP/s"},
                   {"prompt_percent_of_product", "of product"},
                   {"token_ms", "ms/token"},
                   {"decode_tokens_per_second", "decode/s"},
                   {"decode_gb_per_second", "GB/s"},
                   {"decode_percent_of_copy", "of copy"},
                   {"spread_percent", "spread"}};
  return table;
}

std::vector<simulate::Cell> latency_row(const LatencyShape& shape,
                                        const std::vector<LatencySample>& samples,
                                        const ModelCost& cost, const DeviceProbe& probe) {
  std::vector<double> first_s;
  std::vector<double> prompts_s;
  std::vector<double> token_s;
  for (const LatencySample& sample : samples) {
    first_s.push_back(sample.first_token_s);
    prompts_s.push_back(sample.prompts_s);
    token_s.push_back(sample.token_s);
  }
  const double batch = shape.batch_size;
  const double prompt_s = median(prompts_s);
  const double prompt_rate = batch * cost.operations(shape.input_tokens, 1) / prompt_s;
  std::vector<simulate::Cell> row = {
      simulate::Number{batch},
      simulate::Number{static_cast<double>(shape.input_tokens)},
      simulate::Number{static_cast<double>(shape.output_tokens)},
      simulate::Number{median(first_s) * 1e3, 2},
      simulate::Number{batch * shape.input_tokens / prompt_s, 1},
      simulate::Number{prompt_rate / 1e9, 1},
      simulate::Number{100 * prompt_rate / probe.product_operations_per_s, 1}};
  if (shape.output_tokens == 1) {
    row.resize(latency_table().columns.size());
    return row;
  }
  const double step_s = median(token_s);
  const double steps = shape.output_tokens - 1;
  const double step_bytes =
      cost.weight_bytes +
      batch * cost.decode_kv_bytes(shape.input_tokens, shape.output_tokens) / steps;
  const auto [least, most] = std::minmax_element(token_s.begin(), token_s.end());
  row.insert(row.end(), {simulate::Number{step_s * 1e3, 2}, simulate::Number{batch / step_s, 1},
                         simulate::Number{step_bytes / step_s / 1e9, 1},
                         simulate::Number{100 * step_bytes / step_s / probe.copy_bytes_per_s, 1},
                         simulate::Number{100 * (*most - *least) / step_s, 1}});
  return row;
}

Command add_bench_latency(CLI::App& bench) {
  auto options = std::make_shared<Options>();
  CLI::App* app = bench.add_subcommand(
      "latency",
      "Measure prompts and the generation after them, for every combination of the sizes given. "
      "Prints medians; the spread is that of the time per token, from the least to the most; the "
      "percentages are of what a probe of the same device attains.");
  add_engine_options(*app, options->config);
  add_list(*app, "--batch-sizes", options->batch_sizes, "How many requests run at once.");
  add_list(*app, "--input-tokens", options->input_tokens, "Tokens of each prompt, drawn.");
  add_list(*app, "--output-tokens", options->output_tokens, "Tokens to generate for each.");
  app->add_option("--repeats", options->repeats, "Measurements of each, after one to warm up.")
      ->type_name("N")
      ->check(between(1, 1000))
      ->capture_default_str();
  app->add_option("--json", options->json, "Write the figures to this file, too.")
      ->type_name("FILE");
  app->footer(
      "octavo bench latency model.gguf\n"
      "octavo bench latency model.gguf --batch-sizes 1,8,64 --input-tokens 512,4096 --json l.json");
  return {app, [options] { return run_latency(*options); }};
}

}  // namespace octavo::cli
