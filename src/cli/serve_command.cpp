// octavo serve: a model for many people at once, over HTTP.
#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <memory>

#include "cli/command.h"
#include "cli/config_flags.h"
#include "cli/engine_options.h"
#include "server/server.h"

namespace octavo::cli {
namespace {

struct Options {
  EngineConfig engine;
  server::ServerConfig server;
};

// SIGINT, SIGTERM and a terminal's end, taken by the main thread alone: blocked before other
// threads start, which inherit that.
class StopSignals {
 public:
  StopSignals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGTERM);
    if (!outlives_terminal()) sigaddset(&set_, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  }
  void wait() const {
    int signal = 0;
    sigwait(&set_, &signal);
  }
  // True when one comes within this time.
  bool wait_for(std::chrono::milliseconds time) const {
    const timespec limit{.tv_sec = time.count() / 1000, .tv_nsec = time.count() % 1000 * 1'000'000};
    return sigtimedwait(&set_, nullptr, &limit) > 0;
  }

 private:
  // Started by nohup, say. A blocked signal would come even if it is to be ignored.
  static bool outlives_terminal() {
    struct sigaction action = {};
    return sigaction(SIGHUP, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
  }

  sigset_t set_ = {};
};

// A connection is an open file, and the usual limit of 1024 is there for programs that use
// select().
void allow_many_connections() {
  rlimit files = {};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

void drain(server::Server& server, int64_t seconds, const StopSignals& signals) {
  server.begin_drain();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (!server.is_drained() && std::chrono::steady_clock::now() < deadline) {
    if (signals.wait_for(std::chrono::milliseconds(50))) return;  // the second ends it at once
  }
}

int run_serve(const Options& options) {
  const StopSignals signals;
  std::signal(SIGPIPE, SIG_IGN);  // a reader of the log that goes must not end the server
  allow_many_connections();
  auto engine = start_engine(options.engine);
  if (!engine) return fail(engine.error());
  auto server = server::Server::start(**engine, options.server);
  if (!server) return fail(server.error());
  const ModelInfo& model = (*engine)->model();
  fmt::print("{} on {}, up to {} tokens\n", model.name, model.backend, model.context_length);
  for (const std::string& address : (*server)->addresses()) {
    fmt::print("listening on {}\n", address);
  }
  std::fflush(stdout);
  signals.wait();
  complain("finishing what runs; once more to stop at once");
  drain(**server, options.server.drain_seconds, signals);
  return exit_ok;
}

}  // namespace

Command add_serve_command(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* app = program.add_subcommand(
      "serve",
      "Serve a model over HTTP, with OpenAI's API and a chat page, until SIGTERM or Ctrl-C.");
  add_engine_options(*app, options->engine);
  visit_server_config(options->server, [app](const ConfigField& field, auto& value) {
    add_config_flag(*app, field, value)->group("Server");
  });
  app->footer(
      "octavo serve\n"
      "octavo serve model.gguf --port 8000\n"
      "octavo serve model.gguf --host 0.0.0.0 --api-keys keys.txt\n"
      "octavo serve model.gguf --tls-cert cert.pem --tls-key key.pem");
  return {app, [options] { return run_serve(*options); }};
}

}  // namespace octavo::cli
