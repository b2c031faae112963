// octavo serve from outside: its address, signals, a restart after a crash, errors.
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <limits>
#include <thread>

#include "server/http_client.h"

namespace octavo::cli {
namespace {

using server::HttpClient;

constexpr std::string_view kHealth = "GET /health HTTP/1.1\r\nHost: h\r\n\r\n";
// It stays in progress: the body never comes.
constexpr std::string_view kUnfinished =
    "POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n"
    "Expect: 100-continue\r\n\r\n";

std::string post(const std::string& body) {
  return "POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

// "octavo serve" on a model, a small one unless told otherwise, in a process of its own.
class ServeProcess {
 public:
  explicit ServeProcess(std::vector<std::string> flags,
                        const std::string& model = OCTAVO_TEST_DATA "/golden/llama.gguf") {
    std::vector<std::string> words = {OCTAVO_PROGRAM, "serve", model};
    words.insert(words.end(), flags.begin(), flags.end());
    std::vector<char*> arguments;
    arguments.reserve(words.size() + 1);
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    int ends[2];
    if (::pipe(ends) != 0) return;
    process_ = ::fork();
    if (process_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::close(ends[0]);
      ::close(ends[1]);
      ::execv(arguments[0], arguments.data());
      ::_exit(127);
    }
    ::close(ends[1]);
    out_ = ::fdopen(ends[0], "r");
    char line[1024];
    while (address_.empty() && std::fgets(line, sizeof(line), out_) != nullptr) {
      const std::string_view text = line;
      constexpr std::string_view kBegin = "listening on ";
      if (text.starts_with(kBegin)) address_ = text.substr(kBegin.size());
    }
    if (!address_.empty()) address_.pop_back();  // the line's end
  }
  ServeProcess(const ServeProcess&) = delete;
  ServeProcess& operator=(const ServeProcess&) = delete;
  ~ServeProcess() {
    if (process_ > 0) {
      ::kill(process_, SIGKILL);
      wait();
    }
    std::fclose(out_);
  }

  const std::string& address() const { return address_; }
  std::string port() const { return address_.substr(address_.rfind(':') + 1); }
  void signal(int number) const { ::kill(process_, number); }
  // That it has used, with all its threads.
  double processor_seconds() const {
    clockid_t clock = {};
    timespec time = {};
    EXPECT_EQ(::clock_getcpuclockid(process_, &clock), 0);
    EXPECT_EQ(::clock_gettime(clock, &time), 0);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  }
  bool runs() { return ::waitpid(process_, &status_, WNOHANG) == 0; }
  // Its exit code, or -1 for one that a signal ended.
  int wait() {
    ::waitpid(std::exchange(process_, -1), &status_, 0);
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1;
  }

 private:
  pid_t process_ = -1;
  FILE* out_ = nullptr;
  std::string address_;
  int status_ = 0;
};

TEST(ServeTest, FinishesWhatRunsWhenToldToStop) {
  ServeProcess serve({"--port", "0"});
  ASSERT_TRUE(serve.address().starts_with("http://127.0.0.1:")) << serve.address();
  HttpClient client(serve.address());
  EXPECT_EQ(client.ask(kHealth).body, R"({"status":"ok"})");
  client.send(post(R"({"prompt":[1],"max_tokens":1000,"n":8,"ignore_eos":true,"stream":true})"));
  client.read_stream_head();
  serve.signal(SIGTERM);
  std::string last;
  while (const auto chunk = client.read_chunk()) last = *chunk;
  EXPECT_TRUE(last.ends_with("data: [DONE]\n\n")) << last;
  EXPECT_TRUE(client.ends());
  EXPECT_EQ(serve.wait(), 0);
}

TEST(ServeTest, ASecondSignalEndsItAtOnce) {
  ServeProcess serve({"--port", "0"});
  HttpClient client(serve.address());
  EXPECT_EQ(client.ask(kUnfinished).status, 100);
  serve.signal(SIGINT);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_TRUE(serve.runs());
  EXPECT_EQ(HttpClient(serve.address()).ask(kHealth).status, 200);
  serve.signal(SIGINT);
  EXPECT_EQ(serve.wait(), 0);
  EXPECT_TRUE(client.ends());
}

TEST(ServeTest, DrainsNoLongerThanItMay) {
  ServeProcess serve({"--port", "0", "--drain-seconds", "1"});
  HttpClient client(serve.address());
  EXPECT_EQ(client.ask(kUnfinished).status, 100);
  serve.signal(SIGTERM);
  EXPECT_EQ(serve.wait(), 0);
  EXPECT_TRUE(client.ends());
}

TEST(ServeTest, DrainsWhenItsTerminalGoes) {
  ServeProcess serve({"--port", "0"});
  HttpClient client(serve.address());
  EXPECT_EQ(client.ask(kUnfinished).status, 100);
  serve.signal(SIGHUP);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_TRUE(serve.runs());
  client.close();
  EXPECT_EQ(serve.wait(), 0);
}

TEST(ServeTest, OutlivesItsTerminalUnderNohup) {
  std::signal(SIGHUP, SIG_IGN);  // it inherits that
  ServeProcess serve({"--port", "0"});
  std::signal(SIGHUP, SIG_DFL);
  serve.signal(SIGHUP);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_TRUE(serve.runs());
  EXPECT_EQ(HttpClient(serve.address()).ask(kHealth).status, 200);
}

TEST(ServeTest, GivesARealModelsFirstTokenWithinASecondOfItsStart) {
  const char* model = std::getenv("OCTAVO_TEST_SMOLLM2");
  if (model == nullptr) GTEST_SKIP() << "OCTAVO_TEST_SMOLLM2 does not name SmolLM2's GGUF file";
  std::ifstream(model).ignore(std::numeric_limits<std::streamsize>::max());  // into the cache
  const auto start = std::chrono::steady_clock::now();
  ServeProcess serve({"--port", "0"}, model);
  HttpClient client(serve.address());
  client.send(post(R"({"prompt":"Once upon a time","stream":true})"));
  client.read_stream_head();
  EXPECT_TRUE(client.read_chunk());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
}

TEST(ServeTest, UsesNoProcessorWhileNobodyAsks) {
  ServeProcess serve({"--port", "0"});
  HttpClient client(serve.address());
  EXPECT_EQ(client.ask(post(R"({"prompt":[1],"max_tokens":8,"ignore_eos":true})")).status, 200);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const double before = serve.processor_seconds();
  EXPECT_GT(before, 0);
  std::this_thread::sleep_for(std::chrono::seconds(3));
  EXPECT_LT(serve.processor_seconds() - before, 3 * 0.005);
}

TEST(ServeTest, ServesAgainAfterAKill) {
  ServeProcess first({"--port", "0"});
  HttpClient client(first.address());
  EXPECT_EQ(client.ask(kHealth).status, 200);
  first.signal(SIGKILL);
  EXPECT_EQ(first.wait(), -1);
  ServeProcess second({"--port", first.port()});
  ASSERT_EQ(second.address(), first.address());
  EXPECT_EQ(HttpClient(second.address()).ask(kHealth).status, 200);
}

}  // namespace
}  // namespace octavo::cli
