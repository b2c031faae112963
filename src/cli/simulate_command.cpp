// octavo simulate: what the memory for keys and values is used for when a model serves many
// requests. The comparisons are in simulate/comparison.h.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backend/kv_store.h"
#include "base/dtype.h"
#include "base/error.h"
#include "cli/command.h"
#include "cli/help.h"
#include "cli/input.h"
#include "cli/kv_estimate.h"
#include "gguf/builtin_model.h"
#include "gguf/file.h"
#include "simulate/comparison.h"
#include "simulate/lengths.h"
#include "simulate/trace.h"

namespace octavo::cli {
namespace {

enum class Comparison { policies, block_sizes, sharing, pool_sizes };
template <class Value>
using Choices = std::vector<std::pair<std::string, Value>>;

const Choices<Comparison> kComparisons = {{"policies", Comparison::policies},
                                          {"block-sizes", Comparison::block_sizes},
                                          {"sharing", Comparison::sharing},
                                          {"pool-sizes", Comparison::pool_sizes}};
const Choices<DType> kKvTypes = {{"f16", DType::f16},
                                 {"f32", DType::f32},
                                 {"bf16", DType::bf16},
                                 {"q8_0", DType::q8_0},
                                 {"iq4_nl", DType::iq4_nl}};

constexpr int32_t kDrawnRequests = 2000;
constexpr int32_t kDrawnContext = 2048;  // of the model in the paper
// A pool's records take some tens of bytes for each block.
constexpr int64_t kMostSlots = int64_t{1} << 26;

struct Options {
  std::string workload;
  Comparison comparison = Comparison::policies;
  int32_t requests = 0;
  std::string arrivals = "full";
  int64_t memory_bytes = int64_t{12} << 30;
  int64_t host_memory_bytes = 0;
  std::string model;
  int32_t layers = 40;
  int32_t kv_heads = 40;
  int32_t head_length = 128;
  DType kv_type = DType::f16;
  simulate::Machine machine{.batch_tokens = 2048, .max_sequences = 1024};
  int32_t block_size = 16;
  bool prefix_cache = true;
  int64_t seed = 1;
  bool json = false;
  std::string svg;
};

Result<void> set_model(const Options& options, simulate::Machine& machine) {
  if (options.model.empty()) {
    const int64_t values = int64_t{2} * options.layers * options.kv_heads * options.head_length;
    machine.group_token_bytes =
        static_cast<int64_t>(row_bytes(options.kv_type, static_cast<size_t>(values)));
    return {};
  }
  OCTAVO_ASSIGN(const gguf::File file, gguf::open_model(options.model));
  OCTAVO_ASSIGN(const KvEstimate estimate, estimate_kv(file.metadata(), options.kv_type));
  const uint64_t bytes = estimate.global_bytes_per_token + estimate.windowed_bytes_per_token;
  if (bytes == 0) return invalid_input("{}: keeps no keys and values", options.model);
  machine.groups.clear();
  size_t group_layers_max = 0;
  for (const KvGroup& group : group_layers(estimate.layer_windows)) {
    machine.groups.push_back({group.window});
    group_layers_max = std::max(group_layers_max, group.layers.size());
  }
  const uint64_t layer_bytes = bytes / estimate.layer_windows.size();
  machine.group_token_bytes = static_cast<int64_t>(layer_bytes * group_layers_max);
  return {};
}

// A data set's name, or a trace.
Result<simulate::Workload> read_workload(const Options& options, int32_t context_length) {
  if (const auto lengths = simulate::mean_lengths(options.workload)) {
    return simulate::draw_workload(
        *lengths, options.requests > 0 ? options.requests : kDrawnRequests,
        context_length > 0 ? context_length : kDrawnContext, options.seed);
  }
  Result<std::string> content = read_input(options.workload);
  if (!content) {
    if (content.error().kind != ErrorKind::not_found) return content.error();
    return not_found("{}; a trace is expected, or {} or {}", content.error().message,
                     simulate::kShareGpt.name, simulate::kAlpaca.name);
  }
  OCTAVO_ASSIGN(simulate::Workload workload, simulate::parse_trace(options.workload, *content));
  workload.name = printable(std::filesystem::path(options.workload).filename().string());
  if (options.requests > 0 && std::ssize(workload.requests) > options.requests) {
    workload.requests.resize(static_cast<size_t>(options.requests));
  }
  return workload;
}

Result<void> set_arrivals(const Options& options, simulate::Workload& workload) {
  if (options.arrivals == "full") {
    for (simulate::Request& request : workload.requests) request.arrival_s = 0;
    return {};
  }
  if (options.arrivals == "trace") {
    if (!simulate::mean_lengths(options.workload)) return {};
    return invalid_input("--arrivals: '{}' is no trace, whose times could be kept",
                         options.workload);
  }
  double rate = 0;
  if (!CLI::detail::lexical_cast(options.arrivals, rate) || !(rate >= 1e-6 && rate <= 1e6)) {
    return invalid_input(
        "--arrivals: '{}' is not full, trace, or a number of requests a second above 0",
        printable(options.arrivals));
  }
  simulate::draw_arrivals(workload, rate, static_cast<uint64_t>(options.seed));
  return {};
}

Result<simulate::Setting> make_setting(const Options& options) {
  simulate::Setting setting{.machine = options.machine,
                            .block_size = options.block_size,
                            .prefix_cache = options.prefix_cache,
                            .seed = static_cast<uint64_t>(options.seed)};
  simulate::Machine& machine = setting.machine;
  OCTAVO_TRY(set_model(options, machine));
  machine.memory_bytes = options.memory_bytes;
  if (machine.slots() < options.block_size || machine.slots() > kMostSlots) {
    return invalid_input(
        "--memory: {} bytes hold {} tokens; from a block of {} to {} can be simulated",
        machine.memory_bytes, machine.slots(), options.block_size, kMostSlots);
  }
  machine.host_memory_bytes = options.host_memory_bytes;
  if (machine.host_memory_bytes / machine.token_bytes() > kMostSlots) {
    return invalid_input("--host-memory: {} bytes hold more than {} tokens",
                         machine.host_memory_bytes, kMostSlots);
  }
  OCTAVO_ASSIGN(setting.workload, read_workload(options, machine.context_length));
  OCTAVO_TRY(set_arrivals(options, setting.workload));
  if (machine.context_length == 0) {
    machine.context_length = simulate::mean_lengths(options.workload) ? kDrawnContext : 0;
    for (const simulate::Request& request : setting.workload.requests) {
      machine.context_length =
          std::max(machine.context_length, request.prompt_length + request.output_length);
    }
  }
  return setting;
}

Result<simulate::Report> compare(Comparison comparison, const simulate::Setting& setting) {
  switch (comparison) {
    case Comparison::policies:
      return simulate::compare_policies(setting);
    case Comparison::block_sizes:
      return simulate::compare_block_sizes(setting);
    case Comparison::sharing:
      return simulate::compare_sharing(setting);
    case Comparison::pool_sizes:
      break;
  }
  return simulate::compare_pool_sizes(setting);
}

Result<void> write_svg(const std::string& path, const simulate::Report& report) {
  std::ofstream file(path, std::ios::binary);
  const std::array<std::string, 2> lines = {report.workload, report.machine};
  file << simulate::draw_svg(report.title, lines, report.charts);
  file.close();
  if (!file) return io_error("{}: cannot be written", path);
  return {};
}

void print_report(const simulate::Report& report, const Options& options, double seconds) {
  if (options.json) {
    const nlohmann::ordered_json json = {
        {"title", report.title},     {"workload", report.workload},
        {"machine", report.machine}, {"rows", simulate::to_json(report.table)},
        {"notes", report.notes},     {"sequence_steps", report.sequence_steps}};
    fmt::print("{}\n", json.dump());
    return;
  }
  fmt::print("{}\n{}\n{}\n\n{}\n", report.title, report.workload, report.machine,
             simulate::format_table(report.table));
  for (const std::string& note : report.notes) fmt::print("- {}", wrapped(note, 2));
  const auto steps = static_cast<double>(report.sequence_steps);
  fmt::print("\n{} sequence-steps in {:.2f} s of one core, {:.1f} million a second\n",
             simulate::grouped(steps, 0), seconds, steps / std::max(seconds, 1e-6) / 1e6);
}

int run_simulate(const Options& options) {
  const Result<simulate::Setting> setting = make_setting(options);
  if (!setting) return fail(setting.error());
  // One thread's time, whatever else the machine does.
  const std::clock_t start = std::clock();
  const Result<simulate::Report> report = compare(options.comparison, *setting);
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  if (!report) return fail(report.error());
  if (!options.svg.empty()) {
    if (const Result<void> written = write_svg(options.svg, *report); !written) {
      return fail(written.error());
    }
  }
  print_report(*report, options, seconds);
  return exit_ok;
}

void add_bytes(CLI::App& app, const char* flag, int64_t& value, const char* help,
               const char* default_text) {
  const auto read = [flag, &value](const std::string& text) {
    const Result<int64_t> bytes = parse_bytes(text);
    if (!bytes) throw CLI::ValidationError(flag, bytes.error().message);
    value = *bytes;
  };
  app.add_option_function<std::string>(flag, read, help)
      ->type_name("BYTES")
      ->default_str(default_text);
}

template <class Integer>
void add_number(CLI::App& app, const char* flag, Integer& value, const char* help, int64_t least,
                int64_t most) {
  app.add_option(flag, value, help)
      ->type_name("N")
      ->check(between(least, most))
      ->capture_default_str();
}

// The first choice is the default.
template <class Value>
void add_choice(CLI::App& app, const char* flag, Value& value, const Choices<Value>& choices,
                const char* type_name, const char* help) {
  const auto read = [flag, &value, &choices](const std::string& text) {
    std::string names;
    for (const auto& [name, choice] : choices) {
      if (name == text) {
        value = choice;
        return;
      }
      names += names.empty() ? name : ", " + name;
    }
    throw CLI::ValidationError(flag, fmt::format("'{}' is not one of {}", printable(text), names));
  };
  app.add_option_function<std::string>(flag, read, help)
      ->type_name(type_name)
      ->default_str(choices.front().first);
}

void add_model_options(CLI::App& app, Options& o) {
  app.add_option("--model", o.model,
                 "Take the shape of this GGUF file, or of builtin, not that of the flags below.")
      ->type_name("FILE");
  add_number(app, "--layers", o.layers, "Layers of the model.", 1, 1024);
  add_number(app, "--kv-heads", o.kv_heads, "Key and value heads of a layer.", 1, 4096);
  add_number(app, "--head-length", o.head_length, "Numbers in a key or value.", 32, 8192);
  add_choice(app, "--kv-dtype", o.kv_type, kKvTypes, "TYPE",
             "Type of keys and values: f16, f32, bf16, q8_0 or iq4_nl.");
}

void add_machine_options(CLI::App& app, Options& o) {
  add_number(app, "--context", o.machine.context_length,
             "Longest prompt and output together; 0: 2048, or the longest of the trace.", 0,
             2 * simulate::kMostTokens);
  add_number(app, "--block-size", o.block_size, "Tokens per block.", 1, 256);
  add_number(app, "--batch-tokens", o.machine.batch_tokens, "Most tokens computed in one step.", 1,
             1 << 20);
  add_number(app, "--max-sequences", o.machine.max_sequences, "Most outputs that run at once.", 1,
             65536);
  app.add_flag("--prefix-cache,!--no-prefix-cache", o.prefix_cache,
               "Reuse the keys and values of prompts that begin alike.")
      ->default_str("on");
  const auto add_time = [&app](const char* flag, double& value, const char* help) {
    app.add_option(flag, value, help)
        ->type_name("X")
        ->check(between(0, 1e6))
        ->capture_default_str();
  };
  add_time("--weights-ms", o.machine.step_time.weights_ms,
           "Milliseconds of a step, whatever it computes.");
  add_time("--token-us", o.machine.step_time.token_us,
           "Microseconds for each token computed in a step.");
  add_time("--kv-token-ns", o.machine.step_time.kv_token_ns,
           "Nanoseconds for each cached token that a step reads.");
  add_time("--host-token-us", o.machine.step_time.host_token_us,
           "Microseconds for each token moved to the host's memory or from it.");
}

}  // namespace

Command add_simulate_command(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* app = program.add_subcommand(
      "simulate", "Show what memory for keys and values is used for, without a model.");
  app->add_option(
         "WORKLOAD", options->workload,
         "A trace (Azure's CSV or Mooncake's JSON lines; - is standard input), or sharegpt "
         "or alpaca: lengths drawn with the means of these data sets.")
      ->required();
  add_choice(*app, "--compare", options->comparison, kComparisons, "WHAT",
             "What to vary: policies (reservations and blocks), block-sizes, sharing, or "
             "pool-sizes (how much of the prompts is found in the cache).");
  add_number(*app, "--requests", options->requests,
             "How many requests; 0: 2000, or all of the trace.", 0, 10'000'000);
  app->add_option(
         "--arrivals", options->arrivals,
         "When requests come: full (all at once), trace (at the trace's times), or how many a "
         "second.")
      ->type_name("WHEN")
      ->capture_default_str();
  add_bytes(*app, "--memory", options->memory_bytes, "Memory for keys and values.", "12GiB");
  add_bytes(*app, "--host-memory", options->host_memory_bytes,
            "Memory of the host for blocks that leave that one.", "0");
  add_model_options(*app, *options);
  add_machine_options(*app, *options);
  add_number(*app, "--seed", options->seed, "Seed of what is drawn.", 0, int64_t{1} << 53);
  app->add_flag("--json", options->json, "Print one JSON object.");
  app->add_option("--svg", options->svg, "Draw the charts into this file too.")->type_name("FILE");
  app->footer(
      "octavo simulate sharegpt --svg memory.svg\n"
      "octavo simulate alpaca --compare sharing\n"
      "octavo simulate AzureLLMInferenceTrace_conv.csv --compare block-sizes --json\n"
      "octavo simulate mooncake_conversation_trace.jsonl --compare pool-sizes \\\n"
      "    --memory 320GiB --layers 32 --kv-heads 8 --batch-tokens 8192");
  return {app, [options] { return run_simulate(*options); }};
}

}  // namespace octavo::cli
