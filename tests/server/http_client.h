// HttpClient: a socket to a server under test, and answers read from it as strictly as can be.
//
// Blocking; a server that stays silent for 20 seconds fails the test. One thread.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace octavo::server {

struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;

  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

class HttpClient {
 public:
  // "http://127.0.0.1:1234" or "unix:/path".
  explicit HttpClient(const std::string& address, int receive_buffer = 0) {
    if (address.starts_with("unix:")) {
      sockaddr_un to{};
      to.sun_family = AF_UNIX;
      address.substr(5).copy(to.sun_path, sizeof(to.sun_path) - 1);
      open(AF_UNIX, reinterpret_cast<sockaddr*>(&to), sizeof(to), receive_buffer);
    } else {
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
      to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      open(AF_INET, reinterpret_cast<sockaddr*>(&to), sizeof(to), receive_buffer);
    }
  }
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;
  ~HttpClient() { close(); }

  // Speaks TLS from now on. False when the server does not.
  bool start_tls() {
    context_.reset(SSL_CTX_new(TLS_client_method()));
    tls_.reset(SSL_new(context_.get()));
    SSL_set_fd(tls_.get(), socket_);
    return SSL_connect(tls_.get()) == 1;
  }

  // False when the server has closed the connection.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = tls_ ? SSL_write(tls_.get(), bytes.data(), static_cast<int>(bytes.size()))
                             : ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  void end_of_requests() { ::shutdown(socket_, SHUT_WR); }
  void close() {
    tls_.reset();
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  }
  // The connection is torn: what was sent and not read yet is lost.
  void reset() {
    const linger now{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close();
  }

  // Reads more, at least one byte; false at the end.
  bool receive() {
    char buffer[16 * 1024];
    const auto count = tls_ ? SSL_read(tls_.get(), buffer, sizeof(buffer))
                            : ::recv(socket_, buffer, sizeof(buffer), 0);
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) ADD_FAILURE() << "it is silent";
    if (count <= 0) return false;
    received_.append(buffer, static_cast<size_t>(count));
    return true;
  }
  // Whether the connection is over, with nothing before its end.
  bool ends() { return received_.empty() && !receive(); }
  const std::string& received() const { return received_; }
  void forget_received() { received_.clear(); }
  int socket() const { return socket_; }

  // The next answer; nothing when the connection ends before it begins. `to_head`: it has no body.
  std::optional<HttpAnswer> read_answer(bool to_head = false) {
    const std::optional<std::string> head = take_until("\r\n\r\n");
    if (!head) {
      EXPECT_EQ(received_, "") << "an answer that breaks off in its head";
      return std::nullopt;
    }
    HttpAnswer answer = parse_head(*head);
    if (answer.status == 100) {
      EXPECT_TRUE(answer.headers.empty());
      return answer;
    }
    EXPECT_NE(answer.header("x-request-id"), "");
    if (to_head || answer.status == 204) return answer;
    if (answer.headers.count("content-length") > 0) {
      EXPECT_EQ(answer.headers.count("transfer-encoding"), 0u);
      answer.body = take(std::stoul(answer.header("content-length")));
    } else if (answer.header("transfer-encoding") == "chunked") {
      while (const std::optional<std::string> chunk = read_chunk()) answer.body += *chunk;
    } else {
      EXPECT_EQ(answer.header("connection"), "close") << "a body without an end";
      while (receive()) continue;
      answer.body = std::exchange(received_, {});
    }
    return answer;
  }
  // The head of a stream, and then its chunks, until there is none.
  HttpAnswer read_stream_head() {
    const std::optional<std::string> head = take_until("\r\n\r\n");
    EXPECT_TRUE(head);
    HttpAnswer answer = parse_head(head.value_or(""));
    EXPECT_EQ(answer.header("transfer-encoding"), "chunked");
    return answer;
  }
  std::optional<std::string> read_chunk() {
    const std::optional<std::string> size = take_until("\r\n");
    if (!size) ADD_FAILURE() << "a stream that breaks off";
    const size_t bytes = size ? std::stoul(*size, nullptr, 16) : 0;
    std::string chunk = take(bytes);
    EXPECT_EQ(take(2), "\r\n");
    if (bytes == 0) return std::nullopt;
    return chunk;
  }

  HttpAnswer ask(std::string_view request) {
    EXPECT_TRUE(send(request));
    return read_answer().value_or(HttpAnswer{});
  }

 private:
  void open(int family, const sockaddr* to, socklen_t length, int receive_buffer) {
    socket_ = ::socket(family, SOCK_STREAM, 0);
    const timeval patience{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (receive_buffer > 0) {
      ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    }
    const int yes = 1;
    if (family == AF_INET) ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    EXPECT_EQ(::connect(socket_, to, length), 0) << std::strerror(errno);
  }

  std::optional<std::string> take_until(std::string_view mark) {
    while (received_.find(mark) == received_.npos) {
      if (!receive()) return std::nullopt;
    }
    const size_t end = received_.find(mark);
    std::string text = received_.substr(0, end);
    received_.erase(0, end + mark.size());
    return text;
  }
  std::string take(size_t bytes) {
    while (received_.size() < bytes) {
      if (!receive()) {
        ADD_FAILURE() << "an answer that breaks off after " << received_.size() << " bytes of "
                      << bytes;
        break;
      }
    }
    std::string text = received_.substr(0, bytes);
    received_.erase(0, bytes);
    return text;
  }
  static HttpAnswer parse_head(const std::string& head) {
    HttpAnswer answer;
    const size_t first_end = std::min(head.find("\r\n"), head.size());
    EXPECT_TRUE(head.starts_with("HTTP/1.1 ") && first_end >= 13) << head;
    answer.status = std::atoi(head.c_str() + 9);
    for (size_t begin = first_end + 2; begin < head.size();) {
      const size_t end = std::min(head.find("\r\n", begin), head.size());
      const std::string line = head.substr(begin, end - begin);
      const size_t colon = line.find(": ");
      EXPECT_NE(colon, line.npos) << line;
      std::string name = line.substr(0, colon);
      std::transform(name.begin(), name.end(), name.begin(), ::tolower);
      EXPECT_TRUE(
          answer.headers.emplace(name, line.substr(std::min(colon + 2, line.size()))).second)
          << name << " twice";
      begin = end + 2;
    }
    return answer;
  }

  struct FreeTls {
    void operator()(SSL* tls) const { SSL_free(tls); }
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };

  int socket_ = -1;
  std::unique_ptr<SSL_CTX, FreeTls> context_;
  std::unique_ptr<SSL, FreeTls> tls_;
  std::string received_;
};

}  // namespace octavo::server
