// API keys and the access log: who may ask, how much, and what is written about it.
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/scratch_folder.h"
#include "server/http/access_log.h"
#include "server/http/api_keys.h"
#include "server/http/request_ids.h"
#include "server/http_fixture.h"

namespace octavo::server {
namespace {

using std::chrono::seconds;

void write_file(const std::string& path, const std::string& text) {
  // Replaced as a whole, as an editor does.
  std::ofstream(path + ".new") << text;
  std::filesystem::rename(path + ".new", path);
}

HttpRequest with_key(const std::string& key) {
  return {.headers = {{"Authorization", "Bearer " + key}}};
}

class ApiKeysTest : public testing::Test {
 protected:
  std::string open_error(const std::string& text) {
    write_file(path_, text);
    const auto keys = ApiKeys::open(path_);
    return keys ? "" : keys.error().message;
  }
  void open(const std::string& text) {
    write_file(path_, text);
    auto keys = ApiKeys::open(path_);
    ASSERT_TRUE(keys) << keys.error().message;
    keys_ = std::move(keys).value();
  }
  // 0 and the use, or the status of the refusal.
  std::variant<KeyUse, ApiError> admit(const std::string& key) {
    return keys_->admit(with_key(key), now_);
  }
  int status(const std::string& key) {
    const auto admitted = admit(key);
    const auto* error = std::get_if<ApiError>(&admitted);
    return error == nullptr ? 200 : error->status;
  }
  int retry_after(const std::string& key) {
    const auto admitted = admit(key);
    const auto* error = std::get_if<ApiError>(&admitted);
    return error == nullptr ? 0 : error->retry_after_seconds;
  }

  const ScratchFolder folder_;
  const std::string path_ = folder_.path("keys");
  std::unique_ptr<ApiKeys> keys_;
  KeyAccount::TimePoint now_ = KeyAccount::TimePoint() + seconds(1000);
};

TEST_F(ApiKeysTest, KnowsTheKeysOfTheFile) {
  open("# people\nalpha-key  name=alice # her\n\n\tbeta-key\r\n");
  const auto alice = admit("alpha-key");
  ASSERT_TRUE(std::holds_alternative<KeyUse>(alice));
  EXPECT_EQ(std::get<KeyUse>(alice).name(), "alice");
  const auto other = admit("beta-key");
  ASSERT_TRUE(std::holds_alternative<KeyUse>(other));
  EXPECT_EQ(std::get<KeyUse>(other).name(), "line-4");
  for (const char* wrong : {"", "alpha", "alpha-key2", "ALPHA-KEY", "# people", "name=alice"}) {
    EXPECT_EQ(status(wrong), 401) << wrong;
  }
}

TEST_F(ApiKeysTest, TakesTheKeyFromEitherHeader) {
  open("alpha-key\n");
  const auto status_of = [this](const std::string& name, const std::string& value) {
    return keys_->admit({.headers = {{name, value}}}, now_).index() == 0 ? 200 : 401;
  };
  EXPECT_EQ(status_of("authorization", "bearer   alpha-key"), 200);
  EXPECT_EQ(status_of("x-api-key", "alpha-key"), 200);
  EXPECT_EQ(status_of("Authorization", "Basic alpha-key"), 401);
  EXPECT_EQ(status_of("Authorization", "Bearer "), 401);
  EXPECT_EQ(status_of("Cookie", "alpha-key"), 401);
}

TEST_F(ApiKeysTest, LimitsRequests) {
  open("k requests-per-minute=3\n");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(status("k"), 200);
  EXPECT_EQ(retry_after("k"), 20);
  now_ += seconds(19);
  EXPECT_EQ(retry_after("k"), 1);
  now_ += seconds(1);
  EXPECT_EQ(status("k"), 200);
  EXPECT_EQ(status("k"), 429);
  now_ += seconds(3600);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(status("k"), 200);
  EXPECT_EQ(status("k"), 429);
}

TEST_F(ApiKeysTest, LimitsConcurrency) {
  open("k concurrent-requests=2\nother\n");
  auto first = std::make_unique<std::variant<KeyUse, ApiError>>(admit("k"));
  const auto second = admit("k");
  EXPECT_EQ(status("k"), 429);
  EXPECT_EQ(status("other"), 200);
  first.reset();
  EXPECT_EQ(status("k"), 200);
}

TEST_F(ApiKeysTest, LimitsTokens) {
  open("k tokens-per-minute=600\n");
  {
    auto admitted = admit("k");
    std::get<KeyUse>(admitted).charge(
        {.prompt_tokens = 500, .cached_tokens = 400, .generated_tokens = 300}, now_);
  }
  EXPECT_EQ(retry_after("k"), 20);  // 200 too many, at 10 a second
  now_ += seconds(21);
  EXPECT_EQ(status("k"), 200);
}

TEST_F(ApiKeysTest, ReadsTheFileAgain) {
  open("old\nk requests-per-minute=2\n");
  EXPECT_EQ(status("k"), 200);
  write_file(path_, "new\nk requests-per-minute=3\n");
  EXPECT_EQ(status("old"), 401);
  EXPECT_EQ(status("new"), 200);
  // What was used still counts.
  EXPECT_EQ(status("k"), 200);
  EXPECT_EQ(status("k"), 200);
  EXPECT_EQ(status("k"), 429);
}

TEST_F(ApiKeysTest, AFileWithAMistakeChangesNothing) {
  open("k\n");
  testing::internal::CaptureStderr();
  write_file(path_, "k2 colour=red\n");
  EXPECT_EQ(status("k"), 200);
  EXPECT_EQ(status("k2"), 401);
  std::filesystem::remove(path_);
  EXPECT_EQ(status("k"), 200);
  EXPECT_EQ(status("k"), 200);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find(":1: 'colour' is not one of name="), said.npos) << said;
  EXPECT_NE(said.find("No such file or directory; the keys of before stay\n"), said.npos) << said;
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 2) << said;
  write_file(path_, "k3\n");
  EXPECT_EQ(status("k3"), 200);
}

TEST_F(ApiKeysTest, ErrorsNameTheLineAndNotTheKey) {
  const std::string begin = "api-keys: " + path_;
  EXPECT_EQ(open_error(""), begin + " has no keys");
  EXPECT_EQ(open_error("k\nk name=again\n"), begin + ":2: this key has a line above");
  EXPECT_EQ(open_error("secret name=\n"), begin + ":1: name: ASCII letters");
  EXPECT_EQ(open_error("secret tokens-per-minute=0\n"),
            begin + ":1: tokens-per-minute: '0' is not a number from 1 to 1000000000000");
  EXPECT_EQ(open_error("secret requests-per-minute=1x\n"),
            begin + ":1: requests-per-minute: '1x' is not a number from 1 to 1000000000000");
  EXPECT_EQ(open_error("s\xC3\xA9"
                       "cret\n"),
            begin + ":1: a key has printable ASCII characters only");
  EXPECT_EQ(open_error(std::string(513, 'x')), begin + ":1: a key of more than 512 bytes");
  const auto absent = ApiKeys::open(folder_.path("absent"));
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().message,
            "api-keys: " + folder_.path("absent") + ": No such file or directory");
}

class HttpKeysTest : public HttpTest {
 protected:
  HttpKeysTest() {
    config_.api_keys = folder_.path("keys");
    config_.access_log = folder_.path("access.log");
    write_file(config_.api_keys,
               "alpha-key name=alice\nbeta-key concurrent-requests=1 tokens-per-minute=50\n");
  }
  static std::string request(const std::string& what, const std::string& key,
                             const std::string& more = "") {
    return what + " HTTP/1.1\r\nHost: h\r\n" +
           (key.empty() ? "" : "Authorization: Bearer " + key + "\r\n") + more + "\r\n";
  }
  // The lines of the access log, once there are so many.
  std::vector<nlohmann::json> log_lines(size_t count) {
    std::vector<nlohmann::json> lines;
    wait_until([&] {
      lines.clear();
      std::ifstream file(config_.access_log);
      for (std::string line; std::getline(file, line);) {
        lines.push_back(nlohmann::json::parse(line));
      }
      return lines.size() >= count;
    });
    EXPECT_EQ(lines.size(), count);
    return lines;
  }

  const ScratchFolder folder_;
};

TEST_F(HttpKeysTest, AsksForAKey) {
  start();
  HttpClient client(address());
  EXPECT_EQ(client.ask(request("GET /echo", "alpha-key")).status, 200);
  const HttpAnswer refused = client.ask(request("GET /echo", ""));
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.header("www-authenticate"), "Bearer");
  EXPECT_EQ(nlohmann::json::parse(refused.body)["error"]["type"], "authentication_error");
  EXPECT_EQ(client.ask(request("GET /echo", "gamma-key")).status, 401);
  EXPECT_EQ(client.ask(request("GET /nothing", "")).status, 401);
  EXPECT_EQ(client.ask(request("GET /nothing", "alpha-key")).status, 404);
  EXPECT_EQ(client.ask(request("GET /open", "")).status, 200);
  EXPECT_EQ(client.ask(request("GET /always", "")).status, 200);
}

// A short body is read, so that the connection can go on; a long one is not even asked for.
TEST_F(HttpKeysTest, RefusesBeforeTheBody) {
  start();
  HttpClient client(address());
  EXPECT_EQ(client.ask(request("POST /echo", "", "Content-Length: 5\r\n") + "hello").status, 401);
  EXPECT_EQ(client.ask(request("GET /echo", "alpha-key")).status, 200);
  const HttpAnswer refused = client.ask(request("POST /echo", "", "Content-Length: 1000000\r\n"));
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.header("connection"), "close");
  EXPECT_TRUE(client.ends());
  EXPECT_EQ(ask(request("POST /echo", "", "Content-Length: 5\r\nExpect: 100-continue\r\n")).status,
            401);
}

TEST_F(HttpKeysTest, LimitsAKey) {
  start();
  HttpClient waiting(address());
  waiting.send(request("GET /wait", "beta-key"));
  wait_until([this] { return waiting_ == 1; });
  HttpClient client(address());
  const HttpAnswer busy = client.ask(request("GET /echo", "beta-key"));
  EXPECT_EQ(busy.status, 429);
  EXPECT_EQ(busy.header("retry-after"), "1");
  waiting.close();
  wait_until([&] {
    return client.ask(request("POST /use", "beta-key", "Content-Length: 0\r\n")).status == 200;
  });
  const HttpAnswer spent = client.ask(request("GET /echo", "beta-key"));
  EXPECT_EQ(spent.status, 429);
  EXPECT_EQ(spent.header("retry-after"), "60");
  EXPECT_EQ(client.ask(request("GET /echo", "alpha-key")).status, 200);
}

TEST_F(HttpKeysTest, WritesALineForEachRequest) {
  start();
  const std::string parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  {
    HttpClient client(address());
    const std::string use =
        request("POST /use?secret", "alpha-key",
                "X-Request-Id: mine\r\ntraceparent: " + parent + "\r\nContent-Length: 2\r\n");
    client.ask(use + "hi");
    client.ask(request("GET /etc/passwd", ""));
    client.send("rubbish\r\n\r\n");
    client.read_answer();
  }
  const auto lines = log_lines(3);
  EXPECT_EQ(lines[0]["request_id"], "mine");
  EXPECT_EQ(lines[0]["key"], "alice");
  EXPECT_EQ(lines[0]["method"], "POST");
  EXPECT_EQ(lines[0]["path"], "/use");
  EXPECT_EQ(lines[0]["status"], 200);
  EXPECT_EQ(lines[0]["prompt_tokens"], 60);
  EXPECT_EQ(lines[0]["cached_tokens"], 16);
  EXPECT_EQ(lines[0]["generated_tokens"], 40);
  EXPECT_EQ(lines[0]["traceparent"], parent);
  EXPECT_GT(lines[0]["bytes_out"], 100);
  EXPECT_GE(lines[0]["duration_ms"], lines[0]["answer_ms"]);
  EXPECT_EQ(lines[1]["path"], "other");
  EXPECT_EQ(lines[1]["status"], 401);
  EXPECT_FALSE(lines[1].contains("key"));
  EXPECT_EQ(lines[2]["status"], 400);
  std::ifstream file(config_.access_log);
  std::ostringstream all;
  all << file.rdbuf();
  EXPECT_EQ(all.str().find("alpha-key"), std::string::npos);
  EXPECT_EQ(all.str().find("secret"), std::string::npos);
}

TEST_F(HttpKeysTest, SaysWhoDidNotWait) {
  start();
  HttpClient client(address());
  client.send(request("GET /wait", "alpha-key"));
  wait_until([this] { return waiting_ == 1; });
  client.reset();
  EXPECT_EQ(log_lines(1)[0]["client_gone"], true);
}

TEST(AccessLogTest, TimeIsRfc3339) {
  AccessRecord record;
  record.begin =
      std::chrono::system_clock::time_point(std::chrono::milliseconds(1'700'000'000'007));
  EXPECT_EQ(nlohmann::json::parse(access_line(record))["time"], "2023-11-14T22:13:20.007Z");
}

TEST(RequestIdsTest, TraceparentIsThatOfW3c) {
  const std::string good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  EXPECT_TRUE(is_traceparent(good));
  EXPECT_TRUE(is_traceparent("01" + good.substr(2) + "-more"));
  EXPECT_TRUE(is_traceparent("01" + good.substr(2)));
  const std::vector<std::string> bad = {
      "",
      good + "-more",
      good + "x",
      "01" + good.substr(2) + "x",
      "ff" + good.substr(2),
      "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      "00-00000000000000000000000000000000-b7ad6b7169203331-01",
      "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
      "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      good.substr(1),
  };
  for (const std::string& text : bad) EXPECT_FALSE(is_traceparent(text)) << text;
}

TEST(RequestIdsTest, IdsAreNeverAlike) {
  RequestIds first;
  RequestIds second;
  const std::string one = first.next();
  EXPECT_NE(one, first.next());
  EXPECT_NE(one, second.next());
  EXPECT_TRUE(is_good_request_id(one));
}

}  // namespace
}  // namespace octavo::server
