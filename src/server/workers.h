// Workers: threads for what would hold up connections: long texts to tokenize, big JSON to parse or
// write, waiting for the engine's step.
//
// In three lanes, so that what is short never waits for what is long: whoever sends bodies as large
// as may be, one after the other, holds up those alone who do the same.
#pragma once

#include <boost/asio/thread_pool.hpp>

#include "server/exchange.h"

namespace octavo::server {

enum class Lane {
  short_work,
  long_work,  // by the size of what is read or written
  waiting,    // for the engine's step
};

// For work that grows with the request's body.
inline Lane lane_of(const HttpRequest& request) {
  constexpr size_t kLongBody = 64 * 1024;
  return request.body.size() > kLongBody ? Lane::long_work : Lane::short_work;
}

class Workers {
 public:
  asio::thread_pool& lane(Lane lane) {
    return lane == Lane::short_work ? short_work_ : lane == Lane::long_work ? long_work_ : waiting_;
  }

 private:
  asio::thread_pool short_work_{2};
  asio::thread_pool long_work_{1};
  asio::thread_pool waiting_{1};
};

}  // namespace octavo::server
