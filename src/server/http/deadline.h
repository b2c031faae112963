// Deadline: closes a connection's transport, unless what it stands beside is over in time.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>

#include "server/http/transport.h"

namespace octavo::server {

// On the transport's executor.
class Deadline {
 public:
  Deadline(const std::shared_ptr<Transport>& transport, std::chrono::seconds time)
      : timer_(transport->executor(), time) {
    timer_.async_wait([weak = std::weak_ptr(transport)](const boost::system::error_code& error) {
      const auto alive = weak.lock();
      if (!error && alive) alive->close();
    });
  }

 private:
  boost::asio::steady_timer timer_;  // its end cancels it
};

}  // namespace octavo::server
