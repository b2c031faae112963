// libFuzzer target: any bytes as what a client sends, read as HTTP requests. How the bytes are cut
// into pieces on their way must not matter.
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/check.h"
#include "server/http/request_reader.h"

namespace octavo::server {
namespace {

// A client that sends `bytes`, at most `piece` at a time, and goes.
class ScriptedTransport final : public Transport {
 public:
  ScriptedTransport(asio::io_context& context, std::string_view bytes, size_t piece)
      : context_(context), bytes_(bytes), piece_(piece) {}

  asio::any_io_executor executor() override { return context_.get_executor(); }
  asio::awaitable<bool> handshake() override { co_return true; }
  asio::awaitable<size_t> read_some(asio::mutable_buffer buffer) override {
    const size_t count = std::min({piece_, buffer.size(), bytes_.size()});
    std::memcpy(buffer.data(), bytes_.data(), count);
    bytes_.remove_prefix(count);
    co_return count;
  }
  asio::awaitable<bool> write(asio::const_buffer /*bytes*/) override { co_return true; }
  asio::awaitable<void> finish() override { co_return; }
  void close() override {}

 private:
  asio::io_context& context_;
  std::string_view bytes_;
  const size_t piece_;
};

// What the reader makes of it: methods, targets and bodies, and the status it ends with.
asio::awaitable<void> read_all(RequestReader& reader, std::string& seen) {
  for (;;) {
    const auto head = co_await reader.next(Signal::TimePoint::max());
    if (!head) break;
    seen += head->request.method + " " + head->request.path + "?" + head->request.query;
    const auto body = co_await reader.body();
    if (!body) break;
    seen += "\n" + *body + "\n";
    if (!head->keep_alive) co_return;
  }
  if (reader.error()) seen += std::to_string(reader.error()->status);
}

asio::awaitable<void> read_ahead(RequestReader& reader) {
  co_await reader.read_ahead();
}

std::string read_in_pieces(std::string_view bytes, size_t piece) {
  asio::io_context context;
  ServerConfig config;
  config.max_header_bytes = 4096;
  config.max_body_bytes = 4096;
  ByteBudget budget(1 << 20);
  ScriptedTransport transport(context, bytes, piece);
  std::string seen;
  RequestReader reader(transport, config, budget);
  asio::co_spawn(context, read_all(reader, seen), asio::detached);
  asio::co_spawn(context, read_ahead(reader), asio::detached);
  context.run_for(std::chrono::seconds(10));
  return seen;
}

}  // namespace
}  // namespace octavo::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string whole = octavo::server::read_in_pieces(bytes, size + 1);
  for (const size_t piece : {size_t{1}, size_t{7}}) {
    const std::string seen = octavo::server::read_in_pieces(bytes, piece);
    OCTAVO_CHECK(seen == whole, "in pieces of {}: {} and not {}", piece, seen, whole);
  }
  return 0;
}
