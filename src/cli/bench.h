// What the commands below `octavo bench` have in common.
#pragma once

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/command.h"
#include "octavo/result.h"

namespace octavo::cli {

Command add_bench_latency(CLI::App& bench);
Command add_bench_throughput(CLI::App& bench);
Command add_bench_serve(CLI::App& bench);

// Does nothing without a path.
Result<void> write_json(const std::string& path, const nlohmann::ordered_json& json);

}  // namespace octavo::cli
