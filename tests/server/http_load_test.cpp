// Many streams at once: none fails, none starves, memory stays flat. Small here; for the long run
// set OCTAVO_TEST_LOAD to "STREAMS SECONDS", and OCTAVO_TEST_SMOLLM2 to a model's path to run it
// with that one.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/resource.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <numeric>
#include <sstream>

#include "engine/engine_run.h"
#include "server/http_client.h"
#include "server/server.h"

namespace octavo::server {
namespace {

using std::chrono::steady_clock;

struct Load {
  size_t streams = 50;
  int64_t seconds = 1;
};

Load load() {
  Load load;
  if (const char* wanted = std::getenv("OCTAVO_TEST_LOAD")) {
    std::istringstream(wanted) >> load.streams >> load.seconds;
  }
  return load;
}

int64_t resident_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::stoll(line.substr(6)) / 1024;
  }
  return 0;
}

// One client: asks for a stream, reads it to its end, asks again.
class Asker {
 public:
  Asker(const std::string& address, size_t number) : client_(address), number_(number) { ask(); }

  int socket() const { return client_.socket(); }
  int64_t answers() const { return answers_; }
  int64_t failures() const { return failures_; }
  bool is_done() const { return is_done_; }

  // Bytes are there. `goes_on`: ask again after this answer.
  void read(bool goes_on) {
    const bool is_open = client_.receive();
    const std::string& bytes = client_.received();
    if (bytes.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n")) {
      ++answers_;
      failures_ += bytes.starts_with("HTTP/1.1 200 ") ? 0 : 1;
      client_.forget_received();
      is_done_ = !goes_on;
      if (goes_on) ask();
    } else if (!is_open ||
               !bytes.starts_with(std::string_view("HTTP/1.1 200 ").substr(0, bytes.size()))) {
      ++failures_;
      is_done_ = true;
    }
  }

 private:
  void ask() {
    // Each prompt is its own, so that nothing is found in the cache.
    const std::string body =
        fmt::format(R"({{"prompt":[{},{},{}],"max_tokens":16,"ignore_eos":true,"stream":true}})",
                    1 + number_ % 250, 1 + number_ / 250, 1 + answers_ % 250);
    client_.send(
        fmt::format("POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{}",
                    body.size(), body));
  }

  HttpClient client_;
  const size_t number_;
  int64_t answers_ = 0;
  int64_t failures_ = 0;
  bool is_done_ = false;
};

// Serves all askers until the time is over and their last answers have come. Gives the resident
// memory, measured now and then.
std::vector<int64_t> run(std::vector<std::unique_ptr<Asker>>& askers, int64_t seconds) {
  std::vector<int64_t> memory;
  const auto begin = steady_clock::now();
  auto next_look = begin + std::chrono::milliseconds(seconds * 200);
  for (;;) {
    const auto now = steady_clock::now();
    if (now >= next_look) {
      memory.push_back(resident_mib());
      next_look = now + std::chrono::milliseconds(seconds * 200);
    }
    std::vector<pollfd> waiting;
    std::vector<Asker*> who;
    for (const auto& asker : askers) {
      if (asker->is_done()) continue;
      waiting.push_back({.fd = asker->socket(), .events = POLLIN, .revents = 0});
      who.push_back(asker.get());
    }
    if (waiting.empty()) return memory;
    if (::poll(waiting.data(), waiting.size(), 60'000) <= 0) return memory;
    const bool goes_on = now < begin + std::chrono::seconds(seconds);
    for (size_t i = 0; i < waiting.size(); ++i) {
      if (waiting[i].revents != 0) who[i]->read(goes_on);
    }
  }
}

TEST(HttpLoadTest, ServesManyStreamsAtOnce) {
  rlimit files = {};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  EngineConfig engine_config = golden_config("llama");
  if (const char* model = std::getenv("OCTAVO_TEST_SMOLLM2")) {
    engine_config.model_path = model;
    // The cache grows to its limit, which is to be reached soon: from then on memory must be flat.
    engine_config.kv_memory_bytes = int64_t{256} << 20;
  }
  const auto engine = make_engine(engine_config);
  ServerConfig config;
  config.port = 0;
  auto server = Server::start(*engine, config);
  ASSERT_TRUE(server) << server.error().message;

  const Load wanted = load();
  std::vector<std::unique_ptr<Asker>> askers;
  for (size_t i = 0; i < wanted.streams; ++i) {
    askers.push_back(std::make_unique<Asker>((*server)->addresses()[0], i));
  }
  const std::vector<int64_t> memory = run(askers, wanted.seconds);

  int64_t least = askers[0]->answers();
  int64_t most = 0;
  int64_t all = 0;
  for (const auto& asker : askers) {
    EXPECT_EQ(asker->failures(), 0);
    EXPECT_TRUE(asker->is_done());
    least = std::min(least, asker->answers());
    most = std::max(most, asker->answers());
    all += asker->answers();
  }
  std::cout << fmt::format("{} answers, {} to {} per stream; resident MiB: {}\n", all, least, most,
                           fmt::join(memory, " "));
  // All ask alike, so that all are served alike.
  EXPECT_GE(least, 1);
  EXPECT_LE(most, 3 * least + 5);
  if (memory.size() >= 4) {
    EXPECT_LE(memory.back(), memory[1] + memory[1] / 10 + 16);
  }
}

}  // namespace
}  // namespace octavo::server
