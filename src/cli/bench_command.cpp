// octavo bench: how fast a model runs here, and how fast a server answers.
#include "cli/bench.h"

#include <CLI/CLI.hpp>
#include <fstream>
#include <vector>

#include "base/error.h"

namespace octavo::cli {

Result<void> write_json(const std::string& path, const nlohmann::ordered_json& json) {
  if (path.empty()) return {};
  std::ofstream file(path, std::ios::binary);
  file << json.dump(1) << '\n';
  file.close();
  if (!file) return io_error("{}: cannot be written", path);
  return {};
}

Command add_bench_command(CLI::App& program) {
  CLI::App* app = program.add_subcommand("bench", "Measure how fast a model or a server is.");
  const std::vector<Command> commands = {add_bench_latency(*app), add_bench_throughput(*app),
                                         add_bench_serve(*app)};
  app->require_subcommand(0, 1);
  app->footer(
      "octavo bench latency model.gguf\n"
      "octavo bench throughput model.gguf --requests 100\n"
      "octavo bench serve http://127.0.0.1:8080\n"
      "octavo bench latency --help");
  return {app, [commands] {
            for (const Command& command : commands) {
              if (command.app->parsed()) return command.run();
            }
            complain("bench: what to measure was not given; see octavo help bench");
            return static_cast<int>(exit_bad_input);
          }};
}

}  // namespace octavo::cli
