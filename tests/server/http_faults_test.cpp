// A whole server with a small model, and clients that do their worst: mutated requests, streams
// that nobody reads, clients that go. Others must not notice.
#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <random>

#include "engine/engine_run.h"
#include "server/http_client.h"
#include "server/server.h"

namespace octavo::server {
namespace {

using Json = nlohmann::json;

std::string post(const std::string& path, const std::string& body) {
  return fmt::format("POST {} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{}", path,
                     body.size(), body);
}

class HttpFaultsTest : public testing::Test {
 protected:
  HttpFaultsTest() : engine_(make_engine(golden_config("llama"))) {
    ServerConfig config;
    config.port = 0;
    auto server = Server::start(*engine_, config);
    EXPECT_TRUE(server) << server.error().message;
    server_ = std::move(server).value();
  }
  std::string address() const { return server_->addresses().at(0); }

  // Waits until the engine has nothing to do.
  void wait_until_idle() const {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    for (EngineStats stats = engine_->stats(); stats.running + stats.waiting > 0;
         stats = engine_->stats()) {
      ASSERT_LT(std::chrono::steady_clock::now(), limit) << "the engine is not idle";
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Server> server_;
};

std::string random_bytes(std::mt19937_64& random) {
  static const std::vector<std::string> kWords = {
      "\r\n", "\r\n\r\n", "\0",
      ":",    "%",        "0",
      "-1",   "1e999",    "\"",
      "{",    "[[[[[[",   "}",
      "null", "\\ud8",    "\xFF",
      "9999", "chunked",  "Connection: close\r\n",
      "HTTP", "POST ",    " ",
      ",",    "\t",       "Host: ",
      "5;\r", "identity", "Expect: 100-continue\r\n",
  };
  if (random() % 2 == 0) return kWords[random() % kWords.size()];
  std::string bytes(1 + random() % 8, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random() % 256);
  return bytes;
}

void mutate(std::string& request, std::mt19937_64& random) {
  const size_t at = random() % (request.size() + 1);
  const size_t length = random() % 16;
  switch (random() % 5) {
    case 0:
      request.insert(at, random_bytes(random));
      break;
    case 1:
      request.erase(at, length);
      break;
    case 2:
      request.insert(at, request.substr(random() % request.size(), length));
      break;
    case 3:
      request.replace(at, length, random_bytes(random));
      break;
    default:
      if (at < request.size()) request[at] = static_cast<char>(request[at] ^ (1 << random() % 8));
  }
  if (request.empty()) request = " ";
}

// A valid request, mutated: half of them in the body alone, whose length is then right.
std::string mutated_request(std::mt19937_64& random) {
  static const std::string kChat =
      R"({"messages":[{"role":"user","content":"Hi"}],"max_tokens":3,"stream":false})";
  static const std::string kText =
      R"({"prompt":[1,2,3],"max_tokens":3,"n":2,"stop":["a"],"logprobs":1,"stream":true,)"
      R"("temperature":0.5,"top_p":0.9,"logit_bias":{"5":1.5},"stream_options":{"include_usage":true}})";
  const bool is_chat = random() % 2 == 0;
  const std::string path = is_chat ? "/v1/chat/completions" : "/v1/completions";
  std::string body = is_chat ? kChat : kText;
  const size_t mutations = 1 + random() % 4;
  if (random() % 2 == 0) {
    for (size_t i = 0; i < mutations; ++i) mutate(body, random);
    return post(path, body);
  }
  static const std::string kChunked =
      "POST /v1/completions HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
      "Authorization: Bearer "
      "x\r\n\r\n1b\r\n{\"prompt\":[1],\"max_tokens\":2\r\n1\r\n}\r\n0\r\n\r\n";
  static const std::string kGets =
      "GET /v1/models HTTP/1.1\r\nHost: h\r\nX-Request-Id: a\r\n\r\n"
      "GET /health?x=%20 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
  const uint64_t kind = random() % 4;
  std::string request = kind == 0 ? kChunked : kind == 1 ? kGets : post(path, body);
  for (size_t i = 0; i < mutations; ++i) mutate(request, random);
  return request;
}

TEST_F(HttpFaultsTest, MutatedRequestsHarmNobody) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::cout << "seed " << seed << "\n";
  std::mt19937_64 random(seed);
  const std::string ours =
      post("/v1/completions", R"({"prompt":[7,8,9],"max_tokens":8,"temperature":0})");
  HttpClient other(address());
  const std::string text = Json::parse(other.ask(ours).body)["choices"][0]["text"];
  std::map<int, int> statuses;
  for (int i = 0; i < 10'000; ++i) {
    const std::string request = mutated_request(random);
    HttpClient client(address());
    if (i % 50 == 0) other.send(ours);
    client.send(request);
    client.end_of_requests();
    while (const auto answer = client.read_answer()) {
      ++statuses[answer->status];
      if (answer->header("content-type") == "application/json") {
        EXPECT_TRUE(Json::accept(answer->body)) << answer->body;
      }
    }
    if (i % 50 == 0) {
      const auto answer = other.read_answer();
      ASSERT_TRUE(answer);
      EXPECT_EQ(Json::parse(answer->body)["choices"][0]["text"], text);
    }
    ASSERT_FALSE(HasFailure()) << "request " << i << ": " << request;
  }
  EXPECT_GT(statuses[200], 100);
  EXPECT_GT(statuses[400], 100);
  EXPECT_EQ(statuses[500], 0);
  wait_until_idle();
}

TEST_F(HttpFaultsTest, AClientThatGoesStopsItsGeneration) {
  HttpClient client(address());
  client.send(post("/v1/completions",
                   R"({"prompt":[1],"max_tokens":2000,"n":16,"ignore_eos":true,"stream":true})"));
  client.read_stream_head();
  client.read_chunk();
  client.close();
  wait_until_idle();
  EXPECT_LT(engine_->stats().generated_tokens, 16 * 2000);
}

TEST_F(HttpFaultsTest, AStreamThatNobodyReadsHoldsNothingUp) {
  const std::string fields =
      R"("prompt":[1,2],"max_tokens":1900,"temperature":0,"ignore_eos":true})";
  HttpClient prompt_reader(address());
  const std::string whole = Json::parse(
      prompt_reader.ask(post("/v1/completions", "{" + fields)).body)["choices"][0]["text"];
  std::vector<std::unique_ptr<HttpClient>> slow;
  for (int i = 0; i < 8; ++i) {
    slow.push_back(std::make_unique<HttpClient>(address(), 4096));
    slow.back()->send(post("/v1/completions", R"({"stream":true,)" + fields));
  }
  const int64_t wanted = 9 * 1900;
  while (engine_->stats().generated_tokens < wanted) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  wait_until_idle();
  // Everything is still there, in fewer, longer events.
  for (const auto& client : slow) {
    std::string text;
    client->read_stream_head();
    while (const auto chunk = client->read_chunk()) {
      for (size_t begin = 0; begin < chunk->size();) {
        const size_t end = chunk->find("\n\n", begin);
        ASSERT_NE(end, chunk->npos);
        const std::string data = chunk->substr(begin + 6, end - begin - 6);
        if (data != "[DONE]") text += Json::parse(data)["choices"][0]["text"].get<std::string>();
        begin = end + 2;
      }
    }
    EXPECT_EQ(text, whole);
  }
}

}  // namespace
}  // namespace octavo::server
