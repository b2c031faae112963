// Signal: how one coroutine on an executor waits for what another on the same executor does.
//
// Whoever waits checks its condition first and again afterwards; nothing is lost in between,
// because only one of them runs at a time. One waiter at a time.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

namespace octavo::server {

class Signal {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  explicit Signal(const boost::asio::any_io_executor& executor) : timer_(executor) {}

  void notify() { timer_.cancel(); }
  // Until notify(), or until the deadline.
  boost::asio::awaitable<void> wait(TimePoint deadline = TimePoint::max()) {
    timer_.expires_at(deadline);
    co_await timer_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
  }

 private:
  boost::asio::steady_timer timer_;
};

}  // namespace octavo::server
