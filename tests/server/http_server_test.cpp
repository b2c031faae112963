// The server's clients, sockets and end: slow and vanishing clients, draining, TLS, Unix sockets.
#include "server/http/http_server.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <cstdio>
#include <fstream>

#include "engine/scratch_folder.h"
#include "server/http_fixture.h"

namespace octavo::server {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr std::string_view kGet = "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr std::string_view kWait = "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n";

class HttpServerTest : public HttpTest {};

TEST_F(HttpServerTest, CutsAClientThatSendsTooSlowly) {
  config_.request_seconds = 1;
  start();
  HttpClient client(address());
  const auto begin = steady_clock::now();
  std::thread trickle([&client] {
    while (client.send("G")) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  });
  const auto answer = client.read_answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 408);
  EXPECT_TRUE(client.ends());
  EXPECT_LT(steady_clock::now() - begin, seconds(10));
  trickle.join();
}

TEST_F(HttpServerTest, ClosesAnIdleConnection) {
  config_.keep_alive_seconds = 1;
  start();
  HttpClient silent(address());
  HttpClient client(address());
  EXPECT_EQ(client.ask(kGet).status, 200);
  EXPECT_TRUE(client.ends());
  EXPECT_TRUE(silent.ends());
}

// What a reader does not take stays with the handler, and the reader is cut after a while.
TEST_F(HttpServerTest, CutsAReaderThatTakesNothing) {
  config_.request_seconds = 1;
  start();
  HttpClient client(address(), 4096);
  client.send("GET /flood HTTP/1.1\r\nHost: h\r\n\r\n");
  HttpClient other(address());
  while (!flood_ended_) ASSERT_EQ(other.ask(kGet).status, 200);
  EXPECT_LT(flood_bytes_, int64_t{16} << 20);
  wait_until([this] { return server_->is_drained(); });
}

TEST_F(HttpServerTest, NoticesAClientThatGoes) {
  start();
  HttpClient closing(address());
  HttpClient resetting(address());
  // Whose next request lies there unread, too.
  HttpClient pipelining(address());
  closing.send(kWait);
  resetting.send(kWait);
  pipelining.send(std::string(kWait) + std::string(kGet));
  wait_until([this] { return waiting_ == 3; });
  closing.close();
  resetting.reset();
  pipelining.reset();
  wait_until([this] { return waiting_ == 0; });
  EXPECT_EQ(ask(kGet).status, 200);
}

TEST_F(HttpServerTest, HasALimitOfConnections) {
  config_.max_connections = 2;
  start();
  auto first = std::make_unique<HttpClient>(address());
  HttpClient second(address());
  EXPECT_EQ(first->ask(kGet).status, 200);
  EXPECT_EQ(second.ask(kGet).status, 200);
  HttpClient third(address());
  EXPECT_TRUE(third.ends());
  first.reset();
  wait_until([this] {
    HttpClient fourth(address());
    return fourth.send(kGet) && fourth.read_answer().has_value();
  });
}

TEST_F(HttpServerTest, Drains) {
  start();
  HttpClient idle(address());
  EXPECT_EQ(idle.ask(kGet).status, 200);
  HttpClient running(address());
  running.send(kWait);
  wait_until([this] { return waiting_ == 1; });

  server_->begin_drain();
  EXPECT_TRUE(idle.ends());
  const HttpAnswer refused = ask(kGet);
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.header("retry-after"), "5");
  EXPECT_EQ(ask("GET /open HTTP/1.1\r\nHost: h\r\n\r\n").status, 503);
  EXPECT_EQ(ask("GET /always HTTP/1.1\r\nHost: h\r\n\r\n").status, 200);
  EXPECT_FALSE(server_->is_drained());

  go_on_ = true;
  EXPECT_EQ(running.read_answer()->body, "GET /wait?: ");
  EXPECT_TRUE(running.ends());
  wait_until([this] { return server_->is_drained(); });
}

TEST_F(HttpServerTest, EndsWhileRequestsRun) {
  start();
  HttpClient waiting(address());
  waiting.send(kWait);
  HttpClient flooded(address());
  flooded.send("GET /flood HTTP/1.1\r\nHost: h\r\n\r\n");
  wait_until([this] { return waiting_ == 1 && flood_bytes_ > 0; });
  server_.reset();
  EXPECT_EQ(waiting_, 0);
  EXPECT_TRUE(flood_ended_);
  EXPECT_TRUE(waiting.ends());
}

TEST_F(HttpServerTest, ThePortIsFreeAgainAtOnce) {
  start();
  const std::string before = address();
  HttpClient client(address());
  EXPECT_EQ(client.ask(kGet).status, 200);
  server_.reset();  // our end closes first and is in TIME_WAIT
  config_.port = std::stoi(before.substr(before.rfind(':') + 1));
  start();
  EXPECT_EQ(address(), before);
  EXPECT_EQ(ask(kGet).status, 200);
}

TEST_F(HttpServerTest, ErrorsNameTheSetting) {
  start();
  const std::string port = address().substr(address().rfind(':') + 1);
  config_.port = std::stoi(port);
  EXPECT_EQ(start_error(), "port: 127.0.0.1:" + port + ": Address already in use");
  config_.port = 0;
  config_.host = "no.such.host.invalid";
  EXPECT_EQ(start_error().find("host: no.such.host.invalid: "), 0u);
  config_.host = "";
  EXPECT_EQ(start_error(), "host: it is empty; 0.0.0.0 or :: stands for all");
  config_.host = "127.0.0.1";
  config_.tls_cert = "absent.pem";
  EXPECT_EQ(start_error(), "tls-key: it is missing beside tls-cert");
  config_.tls_key = "absent.pem";
  EXPECT_EQ(start_error().find("tls-cert: absent.pem: "), 0u);
  config_.tls_cert = config_.tls_key = "";
  config_.access_log = "absent/access.log";
  EXPECT_EQ(start_error(), "access-log: absent/access.log: No such file or directory");
  config_.access_log = "";
  config_.log_level = "loud";
  EXPECT_EQ(start_error(), "log-level: 'loud' is neither info nor debug");
  config_.log_level = "info";
  config_.unix_socket = std::string(200, 'x');
  EXPECT_EQ(start_error().find("unix-socket: xxx"), 0u);
}

// What standard error says about a request with a body of these lines, each an unknown field.
class HttpDebugLogTest : public HttpTest {
 protected:
  std::string said_about(const std::string& body) {
    start();
    testing::internal::CaptureStderr();
    const HttpAnswer answer =
        ask("POST /ignore HTTP/1.1\r\nHost: h\r\nX-Request-Id: mine\r\nContent-Length: " +
            std::to_string(body.size()) + "\r\n\r\n" + body);
    EXPECT_EQ(answer.status, 200);
    return testing::internal::GetCapturedStderr();
  }
};

TEST_F(HttpDebugLogTest, ListsIgnoredFieldsWhenItIsWanted) {
  EXPECT_EQ(said_about("colour\nstore\n"), "");
  config_.log_level = "debug";
  EXPECT_EQ(said_about("colour\nstore\n"),
            "octavo: debug: request mine: ignored fields: [\"colour\",\"store\"]\n");
  EXPECT_EQ(said_about(""), "");
}

TEST_F(HttpDebugLogTest, ShowsNamesAsPrintableAscii) {
  config_.log_level = "debug";
  EXPECT_EQ(said_about("\x1B[31m\xC2\x9B\xFF\r"),
            "octavo: debug: request mine: ignored fields: "
            "[\"\\u001b[31m\\u009b\\ufffd\\r\"]\n");
}

TEST_F(HttpDebugLogTest, IsNotFilledByWhoMakesUpFields) {
  config_.log_level = "debug";
  std::string body;
  for (int i = 0; i < 1000; ++i) body += std::string(1000, 'x') + "\n";
  EXPECT_LT(said_about(body).size(), 4096u);
}

TEST_F(HttpServerTest, ListensOnAUnixSocket) {
  const ScratchFolder folder;
  config_.unix_socket = folder.path("octavo.sock");
  start();
  ASSERT_EQ(server_->addresses().at(1), "unix:" + config_.unix_socket);
  {
    HttpClient client(server_->addresses().at(1));
    EXPECT_EQ(client.ask(kGet).body, "GET /echo?: ");
  }
  struct stat status = {};
  ASSERT_EQ(::stat(config_.unix_socket.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_EQ(start_error(),
            "unix-socket: " + config_.unix_socket + ": another server listens there");
  server_.reset();
  EXPECT_NE(::stat(config_.unix_socket.c_str(), &status), 0);
}

TEST_F(HttpServerTest, ReplacesTheSocketOfAServerThatDied) {
  const ScratchFolder folder;
  config_.unix_socket = folder.path("octavo.sock");
  sockaddr_un stale{};
  stale.sun_family = AF_UNIX;
  config_.unix_socket.copy(stale.sun_path, sizeof(stale.sun_path) - 1);
  const int dead = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(dead, reinterpret_cast<sockaddr*>(&stale), sizeof(stale)), 0);
  ::close(dead);
  start();
  HttpClient client(server_->addresses().at(1));
  EXPECT_EQ(client.ask(kGet).status, 200);

  config_.unix_socket = folder.path("file");
  std::ofstream(config_.unix_socket) << "precious";
  EXPECT_EQ(start_error(), "unix-socket: " + config_.unix_socket + " is no socket");
}

// A key and a certificate for it, good for an hour.
void write_certificate(const std::string& cert_path, const std::string& key_path) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* cert = X509_new();
  ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
  X509_gmtime_adj(X509_getm_notBefore(cert), 0);
  X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
  X509_set_pubkey(cert, key);
  X509_sign(cert, key, EVP_sha256());
  FILE* file = std::fopen(cert_path.c_str(), "w");
  PEM_write_X509(file, cert);
  std::fclose(file);
  file = std::fopen(key_path.c_str(), "w");
  PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(file);
  X509_free(cert);
  EVP_PKEY_free(key);
}

class HttpsTest : public HttpTest {
 protected:
  HttpsTest() {
    config_.tls_cert = folder_.path("cert.pem");
    config_.tls_key = folder_.path("key.pem");
    write_certificate(config_.tls_cert, config_.tls_key);
  }
  const ScratchFolder folder_;
};

TEST_F(HttpsTest, SpeaksTls) {
  start();
  EXPECT_TRUE(address().starts_with("https://127.0.0.1:"));
  HttpClient client(address());
  ASSERT_TRUE(client.start_tls());
  EXPECT_EQ(client.ask(kGet).body, "GET /echo?: ");
  EXPECT_EQ(client.ask("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n").body, "one two three");
  const std::string body(1'000'000, 'x');
  EXPECT_EQ(client.ask("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" + body)
                .body.size(),
            body.size() + 13);
}

TEST_F(HttpsTest, TheKeyMustBeThatOfTheCertificate) {
  write_certificate(folder_.path("other.pem"), config_.tls_key);
  EXPECT_EQ(start_error().find("tls-key: " + config_.tls_key + ": "), 0u) << start_error();
  std::ofstream(config_.tls_key) << "no key";
  EXPECT_EQ(start_error().find("tls-key: " + config_.tls_key + ": "), 0u) << start_error();
  std::ofstream(config_.tls_cert) << "no certificate";
  EXPECT_EQ(start_error().find("tls-cert: " + config_.tls_cert + ": "), 0u) << start_error();
}

TEST_F(HttpsTest, NoticesAClientThatGoes) {
  start();
  HttpClient client(address());
  ASSERT_TRUE(client.start_tls());
  client.send(kWait);
  wait_until([this] { return waiting_ == 1; });
  client.close();
  wait_until([this] { return waiting_ == 0; });
}

TEST_F(HttpsTest, SendsAwayWhoDoesNotSpeakTls) {
  config_.request_seconds = 1;
  start();
  HttpClient plain(address());
  plain.send(kGet);
  while (plain.receive()) continue;
  EXPECT_EQ(plain.received().find("HTTP"), std::string::npos);
  HttpClient silent(address());
  EXPECT_TRUE(silent.ends());
}

TEST_F(HttpsTest, EndsWhileRequestsRun) {
  start();
  HttpClient client(address());
  ASSERT_TRUE(client.start_tls());
  client.send("GET /flood HTTP/1.1\r\nHost: h\r\n\r\n");
  wait_until([this] { return flood_bytes_ > 0; });
  HttpClient in_handshake(address());
  server_.reset();
  EXPECT_TRUE(flood_ended_);
}

}  // namespace
}  // namespace octavo::server
