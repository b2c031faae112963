// Writer: bytes to a client, in order. A client that takes none for a while is given up, so that
// it holds neither memory nor a request for ever.
//
// Runs on the transport's executor; one write at a time.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>

#include "server/http/transport.h"

namespace octavo::server {

class Writer {
 public:
  Writer(std::shared_ptr<Transport> transport, std::chrono::seconds patience)
      : transport_(std::move(transport)), patience_(patience) {}

  // Returns when the system has taken all of it, or the client is lost.
  asio::awaitable<void> write(std::string_view bytes);

  bool failed() const { return failed_; }  // nothing can be written any more
  int64_t bytes_written() const { return bytes_; }

 private:
  const std::shared_ptr<Transport> transport_;
  const std::chrono::seconds patience_;
  int64_t bytes_ = 0;
  bool failed_ = false;
};

}  // namespace octavo::server
