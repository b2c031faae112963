// octavo bench serve: how fast a server answers, asked as many people would ask it.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "cli/bench.h"
#include "cli/command.h"
#include "cli/input.h"
#include "cli/load_client.h"
#include "cli/load_report.h"
#include "cli/load_workload.h"
#include "simulate/trace.h"

namespace octavo::cli {
namespace {

struct Options {
  std::string url = "http://127.0.0.1:8080";
  std::string model;
  std::string api_key_file;
  SharedPrefixShape shape;
  std::string trace;
  double speed = 1;
  int32_t context = 2048;
  int32_t users = 0;
  double rate = 0;
  int32_t vocabulary = 512;
  int64_t seed = 1;
  double timeout_s = 3600;
  ServiceLimits limits;  // in milliseconds until they are used
  std::string json;
};

Result<std::vector<PlannedRequest>> make_plan(const Options& options) {
  const auto seed = static_cast<uint64_t>(options.seed);
  if (options.trace.empty()) {
    auto plan = plan_shared_prefix(options.shape, options.vocabulary, seed);
    if (options.rate > 0) draw_times(plan, options.rate, seed);
    return plan;
  }
  OCTAVO_ASSIGN(const std::string content, read_input(options.trace));
  OCTAVO_ASSIGN(simulate::Workload workload, simulate::parse_trace(options.trace, content));
  auto plan = plan_trace(workload, options.context, options.speed, options.vocabulary, seed);
  if (std::ssize(plan) > options.shape.requests) {
    plan.resize(static_cast<size_t>(options.shape.requests));
  }
  if (options.rate > 0) draw_times(plan, options.rate, seed);
  return plan;
}

Result<LoadTarget> make_target(const Options& options) {
  OCTAVO_ASSIGN(LoadTarget target, parse_target(options.url));
  target.model = options.model;
  if (options.api_key_file.empty()) return target;
  OCTAVO_ASSIGN(const std::string key, read_input(options.api_key_file));
  target.api_key = key.substr(0, key.find_first_of(" \r\n"));
  return target;
}

int run_serve(const Options& options) {
  const auto target = make_target(options);
  if (!target) return fail(target.error());
  const auto plan = make_plan(options);
  if (!plan) return fail(plan.error());
  if (plan->empty()) return fail(invalid_input("{}: no request fits --context", options.trace));
  const auto records =
      run_load(*target, *plan, {.users = options.users, .timeout_s = options.timeout_s});
  const ServiceLimits limits = {.first_token_s = options.limits.first_token_s / 1000,
                                .per_token_s = options.limits.per_token_s / 1000,
                                .whole_s = options.limits.whole_s / 1000};
  const LoadReport report = make_report(records, limits);
  fmt::print("{}", format_report(report));
  if (!options.json.empty()) {
    if (const Result<void> written = write_json(options.json, to_json(report)); !written) {
      return fail(written.error());
    }
  }
  return report.failed == report.requests ? exit_failed : exit_ok;
}

void add_workload(CLI::App& app, Options& options) {
  const CLI::Validator tokens = between(1, 1 << 20);
  app.add_option("--requests", options.shape.requests, "Most requests to send.")
      ->type_name("N")
      ->check(between(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--shared-tokens", options.shape.shared_tokens,
                 "Tokens with which all prompts begin, as with one system prompt.")
      ->type_name("N")
      ->check(between(0, 1 << 20))
      ->capture_default_str();
  app.add_option("--own-tokens", options.shape.own_tokens, "Tokens of each prompt after them.")
      ->type_name("N")
      ->check(tokens)
      ->capture_default_str();
  app.add_option("--output-tokens", options.shape.output_tokens, "Tokens to generate for each.")
      ->type_name("N")
      ->check(tokens)
      ->capture_default_str();
  CLI::Option* trace =
      app.add_option("--trace", options.trace,
                     "Send the requests of this trace instead, at its times: Azure's CSV or "
                     "Mooncake's JSON lines.")
          ->type_name("FILE");
  app.add_option("--speed", options.speed, "How many times as fast as the trace.")
      ->type_name("X")
      ->check(between(1e-3, 1e6))
      ->needs(trace)
      ->capture_default_str();
  app.add_option("--context", options.context,
                 "Leave requests of the trace out that are longer than this with their output.")
      ->type_name("N")
      ->check(tokens)
      ->needs(trace)
      ->capture_default_str();
  app.add_option("--vocabulary", options.vocabulary,
                 "Prompts are random token ids from the upper half of this many.")
      ->type_name("N")
      ->check(between(2, 1 << 24))
      ->capture_default_str();
  app.add_option("--seed", options.seed, "Of prompts and times.")
      ->type_name("N")
      ->capture_default_str();
}

void add_limits(CLI::App& app, ServiceLimits& limits) {
  const auto add = [&app](const char* flag, double& limit, const char* help) {
    app.add_option(flag, limit, help)->check(between(0, 1e9))->type_name("MS");
  };
  add("--good-first-token", limits.first_token_s,
      "Count a request to the goodput only when its first token came within this time.");
  add("--good-per-token", limits.per_token_s, "The same for the mean time from token to token.");
  add("--good-request", limits.whole_s, "The same for the whole request.");
}

}  // namespace

Command add_bench_serve(CLI::App& bench) {
  auto options = std::make_shared<Options>();
  CLI::App* app = bench.add_subcommand(
      "serve", "Send many requests to a server with OpenAI's API, and tell how they were served.");
  app->add_option("URL", options->url, "The server's address.")->capture_default_str();
  app->add_option("--model", options->model, "What the server calls its model, if it must be told.")
      ->type_name("NAME");
  app->add_option("--api-key-file", options->api_key_file, "A file that begins with an API key.")
      ->type_name("FILE");
  CLI::Option* users =
      app->add_option("--users", options->users,
                      "So many users, each of whom asks again once answered; without it, all "
                      "requests are sent at their times, or at once.")
          ->type_name("N")
          ->check(between(1, 100'000));
  app->add_option("--rate", options->rate,
                  "Requests a second, as if by chance (a Poisson process); instead of a trace's "
                  "times, too.")
      ->type_name("X")
      ->check(between(1e-6, 1e6))
      ->excludes(users);
  app->add_option("--timeout", options->timeout_s, "Give up what is not answered by then.")
      ->check(between(1, 1e6))
      ->type_name("SECONDS")
      ->capture_default_str();
  app->add_option("--json", options->json, "Write the figures to this file, too.")
      ->type_name("FILE");
  add_workload(*app, *options);
  add_limits(*app, options->limits);
  app->footer(
      "octavo bench serve http://127.0.0.1:8080 --requests 32\n"
      "octavo bench serve http://127.0.0.1:8080 --users 8 --requests 200 --json figures.json\n"
      "octavo bench serve http://127.0.0.1:8080 --rate 2 --requests 100 --good-first-token 500\n"
      "octavo bench serve http://127.0.0.1:8080 --trace AzureLLMInferenceTrace_conv.csv --speed 4");
  return {app, [options] { return run_serve(*options); }};
}

}  // namespace octavo::cli
