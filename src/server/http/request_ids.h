// What a request is called by in logs: ids of our own, and which of a client's are taken over.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace octavo::server {

// Makes ids that are unique among all runs of the server: "5f2a9c01d3e4b6a7-2f". Any thread.
class RequestIds {
 public:
  RequestIds();
  std::string next();

 private:
  const std::string prefix_;
  std::atomic<uint64_t> count_{0};
};

// A client's own X-Request-Id is kept if it is fit for a log: 1 to 128 letters, digits, - _ . and
// :.
bool is_good_request_id(std::string_view id);

// Whether it is a `traceparent` of W3C's Trace Context (3.2): those of later versions may be
// longer.
bool is_traceparent(std::string_view text);

}  // namespace octavo::server
