// HTTP/1.0 and 1.1 as the server speaks it: framing, order, limits, and what it refuses.
#include <fmt/format.h>

#include <cstdlib>
#include <ctime>

#include "server/http_fixture.h"

namespace octavo::server {
namespace {

class HttpProtocolTest : public HttpTest {};

constexpr std::string_view kGet = "GET /echo?a=%20b HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr std::string_view kPost =
    "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
constexpr std::string_view kChunked =
    "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    "2;note=\"x\"\r\nhe\r\n3\r\nllo\r\n0\r\nX-Trailer: 1\r\n\r\n";

TEST_F(HttpProtocolTest, KeepsAConnectionAlive) {
  start();
  HttpClient client(address());
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(client.ask(kGet).body, "GET /echo?a=%20b: ");
    EXPECT_EQ(client.ask(kPost).body, "POST /echo?: hello");
    EXPECT_EQ(client.ask(kChunked).body, "POST /echo?: hello");
    EXPECT_EQ(client.ask("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n").body, "one two three");
  }
}

TEST_F(HttpProtocolTest, ClosesWhenAskedTo) {
  start();
  HttpClient client(address());
  const HttpAnswer answer =
      client.ask("GET /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(answer.header("connection"), "close");
  EXPECT_TRUE(client.ends());
}

TEST_F(HttpProtocolTest, SpeaksHttp10) {
  start();
  HttpClient client(address());
  EXPECT_EQ(client.ask("GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").header("connection"),
            "keep-alive");
  EXPECT_EQ(client.ask("GET /stream HTTP/1.0\r\n\r\n").body, "one two three");
  EXPECT_TRUE(client.ends());
}

TEST_F(HttpProtocolTest, AnswersPipelinedRequestsInOrder) {
  start();
  HttpClient client(address());
  std::string requests;
  for (int i = 0; i < 3000; ++i) {
    const std::string body = std::to_string(i);
    requests += fmt::format("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{}",
                            body.size(), body);
  }
  // More than the server reads ahead: it must be written while answers are read.
  std::thread sender([&] { EXPECT_TRUE(client.send(requests)); });
  for (int i = 0; i < 3000; ++i) {
    const auto answer = client.read_answer();
    ASSERT_TRUE(answer);
    ASSERT_EQ(answer->body, "POST /echo?: " + std::to_string(i));
  }
  sender.join();
}

TEST_F(HttpProtocolTest, HeadHasNoBody) {
  start();
  HttpClient client(address());
  client.send("HEAD /echo HTTP/1.1\r\nHost: h\r\n\r\nHEAD /stream HTTP/1.1\r\nHost: h\r\n\r\n");
  const auto answer = client.read_answer(true);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->header("content-length"), "13");
  EXPECT_EQ(client.read_answer(true)->status, 200);
  EXPECT_EQ(client.ask(kGet).status, 200);
}

TEST_F(HttpProtocolTest, ContinuesWhenExpectedTo) {
  start();
  HttpClient client(address());
  const std::string head =
      "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
  client.send(head);
  EXPECT_EQ(client.read_answer()->status, 100);
  EXPECT_EQ(client.ask("hello").body, "POST /echo?: hello");
  // Whose body comes along does not wait.
  EXPECT_EQ(client.ask(head + "hello").body, "POST /echo?: hello");
  EXPECT_EQ(client.ask("GET /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n").status,
            200);
}

TEST_F(HttpProtocolTest, ReadsOtherFormsOfTargets) {
  start();
  HttpClient client(address());
  EXPECT_EQ(client.ask("GET http://h/echo?q HTTP/1.1\r\nHost: h\r\n\r\n").body, "GET /echo?q: ");
  EXPECT_EQ(client.ask("GET /%65cho HTTP/1.1\r\nHost: h\r\n\r\n").body, "GET /echo?: ");
  EXPECT_EQ(client.ask("\r\n\r\nGET /echo HTTP/1.1\r\nHost: h\r\n\r\n").status, 200);
  EXPECT_EQ(client.ask("GET http://h HTTP/1.1\r\nHost: h\r\n\r\n").status, 404);
}

TEST_F(HttpProtocolTest, TakesARequestByteByByte) {
  start();
  HttpClient client(address());
  const std::string empty_chunks =
      "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
  for (const std::string_view request : {kGet, kPost, kChunked, std::string_view(empty_chunks)}) {
    for (const char byte : request) {
      client.send({&byte, 1});
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    const auto answer = client.read_answer();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200);
  }
}

TEST_F(HttpProtocolTest, SurvivesAConnectionCutAtEveryByte) {
  start();
  for (const std::string_view request : {kGet, kPost, kChunked}) {
    for (size_t cut = 0; cut < request.size(); ++cut) {
      HttpClient torn(address());
      torn.send(request.substr(0, cut));
      torn.reset();
      HttpClient closed(address());
      closed.send(request.substr(0, cut));
      closed.end_of_requests();
      EXPECT_TRUE(closed.ends()) << "an answer to " << request.substr(0, cut);
    }
  }
  EXPECT_EQ(ask(kPost).status, 200);
  wait_until([this] { return server_->is_drained(); });
}

TEST_F(HttpProtocolTest, AnswersAHalfClosedConnection) {
  start();
  HttpClient client(address());
  client.send(kGet);
  client.end_of_requests();
  EXPECT_EQ(client.read_answer()->status, 200);
  EXPECT_TRUE(client.ends());
}

TEST_F(HttpProtocolTest, RefusesWhatIsNotHttp) {
  config_.max_body_bytes = 1024;
  config_.max_header_bytes = 1024;
  start();
  const std::string host = "Host: h\r\n";
  const std::vector<std::pair<std::string, int>> cases = {
      {"hello\r\n\r\n", 400},
      {"\x16\x03\x01\x02\x01", 400},
      {"GET /echo HTTP/2.0\r\n\r\n", 400},
      {"GET /echo HTTP/1.1\r\n\r\n", 400},
      {"GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"GET echo HTTP/1.1\r\n" + host + "\r\n", 400},
      {"GET /%zz HTTP/1.1\r\n" + host + "\r\n", 400},
      {"GET /%e HTTP/1.1\r\n" + host + "\r\n", 400},
      {"GET /echo HTTP/1.1\r\n" + host + "bad header\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\n" + host + "Content-Length: x\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\n" + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
       400},
      {"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip\r\n\r\n", 501},
      {"POST /echo HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
      {"POST /echo HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
      {"POST /echo HTTP/1.1\r\n" + host + "Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
       415},
      {"GET /echo HTTP/1.1\r\n" + host + "Expect: magic\r\n\r\n", 417},
      {"POST /echo HTTP/1.1\r\n" + host + "Content-Length: 1025\r\n\r\n", 413},
      {"POST /echo HTTP/1.1\r\n" + host + "Content-Length: 99999999999999999999\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n401\r\n", 413},
      {"GET /echo HTTP/1.1\r\n" + host + "X: " + std::string(1024, 'x') + "\r\n\r\n", 431},
      {"GET /" + std::string(2000, 'x'), 431},
      {"POST /echo HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1;" +
           std::string(20000, 'x'),
       400},
  };
  for (const auto& [request, status] : cases) {
    HttpClient client(address());
    client.send(request);
    const auto answer = client.read_answer();
    ASSERT_TRUE(answer) << request;
    EXPECT_EQ(answer->status, status) << request << "\n" << answer->body;
    EXPECT_EQ(answer->header("connection"), "close");
    EXPECT_TRUE(client.ends()) << request;
  }
}

// Headers that come line by line are counted together.
TEST_F(HttpProtocolTest, RefusesAHeaderWithoutEnd) {
  config_.max_header_bytes = 4096;
  start();
  HttpClient client(address());
  client.send("GET /echo HTTP/1.1\r\nHost: h\r\n");
  int lines = 0;
  while (lines < 10'000 && client.send("A: b\r\n")) {
    if (++lines > 600) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_LT(lines, 10'000);
  EXPECT_EQ(client.read_answer()->status, 431);
}

// The answer must not be lost because the rest of the request comes after it.
TEST_F(HttpProtocolTest, ALongBodyIsToldThatItIsTooLong) {
  config_.max_body_bytes = 1024;
  start();
  HttpClient client(address());
  client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n");
  client.send(std::string(3'000'000, 'x'));
  EXPECT_EQ(client.read_answer()->status, 413);
}

TEST_F(HttpProtocolTest, BodiesOfAllRequestsHaveALimit) {
  config_.max_bodies_bytes = int64_t{1} << 20;
  start();
  const std::string rest = " HTTP/1.1\r\nHost: h\r\nContent-Length: 800000\r\n\r\n";
  const std::string body(800'000, 'x');
  HttpClient first(address());
  first.send("POST /wait" + rest + body);
  wait_until([this] { return waiting_ == 1; });
  const HttpAnswer refused = ask("POST /echo" + rest + body);
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.header("retry-after"), "1");
  go_on_ = true;
  EXPECT_EQ(first.read_answer()->status, 200);
  first.close();
  wait_until([&] { return ask("POST /echo" + rest + body).status == 200; });
}

TEST_F(HttpProtocolTest, AFaultOfAHandlerEndsItsConnectionOnly) {
  start();
  HttpClient other(address());
  EXPECT_EQ(other.ask(kGet).status, 200);
  EXPECT_EQ(ask("GET /throw HTTP/1.1\r\nHost: h\r\n\r\n").status, 500);
  HttpClient client(address());
  client.send("GET /break HTTP/1.1\r\nHost: h\r\n\r\n");
  client.read_stream_head();
  EXPECT_EQ(client.read_chunk(), "a beginning");
  EXPECT_TRUE(client.ends());  // without the chunk that says that it was all
  EXPECT_EQ(other.ask(kGet).status, 200);
}

TEST_F(HttpProtocolTest, NamesRequests) {
  start();
  HttpClient client(address());
  const auto with = [&client](const std::string& header) {
    return client.ask("GET /echo HTTP/1.1\r\nHost: h\r\n" + header + "\r\n\r\n");
  };
  EXPECT_EQ(with("X-Request-Id: mine-1").header("x-request-id"), "mine-1");
  const std::string made = with("X-Request-Id: two words").header("x-request-id");
  EXPECT_NE(made, "two words");
  EXPECT_NE(with("A: b").header("x-request-id"), made);
  const std::string parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  EXPECT_EQ(with("traceparent: " + parent).header("traceparent"), parent);
  EXPECT_EQ(with("traceparent: 00-zz").header("traceparent"), "");
}

TEST_F(HttpProtocolTest, SaysWhenItAnswers) {
  start();
  tm time{};
  const std::string date = ask(kGet).header("date");
  const char* end = strptime(date.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &time);
  ASSERT_TRUE(end != nullptr && *end == 0) << date;
  EXPECT_LE(std::abs(timegm(&time) - std::time(nullptr)), 60);
}

TEST_F(HttpProtocolTest, TellsBrowsersWhoMayAsk) {
  config_.cors_origin = "https://a.example";
  start();
  const auto from = [this](const std::string& origin) {
    return ask("GET /echo HTTP/1.1\r\nHost: h\r\nOrigin: " + origin + "\r\n\r\n");
  };
  EXPECT_EQ(from("https://a.example").header("access-control-allow-origin"), "https://a.example");
  EXPECT_EQ(from("https://b.example").header("access-control-allow-origin"), "");
  EXPECT_EQ(from("https://b.example").header("vary"), "Origin");
  const HttpAnswer preflight =
      ask("OPTIONS /echo HTTP/1.1\r\nHost: h\r\nOrigin: https://a.example\r\n"
          "Access-Control-Request-Method: POST\r\n"
          "Access-Control-Request-Headers: authorization, x-custom\r\n\r\n");
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(preflight.header("access-control-allow-headers"), "authorization, x-custom");
  EXPECT_EQ(preflight.header("access-control-allow-origin"), "https://a.example");
}

TEST_F(HttpProtocolTest, CorsIsOffUnlessAskedFor) {
  start();
  const HttpAnswer answer =
      ask("OPTIONS /echo HTTP/1.1\r\nHost: h\r\nOrigin: https://a.example\r\n"
          "Access-Control-Request-Method: POST\r\n\r\n");
  EXPECT_EQ(answer.status, 405);
  EXPECT_EQ(answer.header("access-control-allow-origin"), "");
}

}  // namespace
}  // namespace octavo::server
